/**
 * Fetches the history of selectors that are added to a stream, beside a link that can't be told of
 * them.
 */

import { backOff } from '../links/retry.ts';
import type { End, Link, Request, Transport } from '../links/transport.ts';
import type { Points } from '../protocol/documents.ts';

/** One poll, and what becomes of it. */
export interface Order {
  readonly request: () => Request;
  /** All of it came, up to the cursor `id`. */
  came(documents: readonly Points[], id: string | undefined): void;
  /** The server refuses it. */
  refused(end: End): void;
}

/** Polls once, and again later if that fails for a reason that may pass. */
export class Backfill {
  readonly #poller: Transport;
  readonly #random: () => number;
  #link: Link | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(poller: Transport, random: () => number) {
    this.#poller = poller;
    this.#random = random;
  }

  /** Whether a poll is open or planned. */
  get busy(): boolean {
    return this.#link !== null || this.#timer !== undefined;
  }

  /** Poll for what `order` gives; it is called again for each try. */
  fetch(order: () => Order): void {
    const { request, came, refused } = order();
    const documents: Points[] = [];
    this.#link = this.#poller.open(request, {
      received: (document) => {
        if (document.type === 'points') {
          documents.push(document);
        }
      },
      alive: (id) => {
        this.close();
        came(documents, id);
      },
      ended: (end) => {
        this.#link = null;
        if (end.advice === 'never' && end.unauthorized !== true) {
          refused(end);
          return;
        }
        const delay = Math.max(end.after ?? 0, backOff(this.#failures, this.#random));
        this.#failures += 1;
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.fetch(order);
        }, delay);
      },
    });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#link?.close();
    this.#link = null;
  }
}
