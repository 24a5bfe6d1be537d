/** Lets transports race for the first document: each has a head start over the next. */

import type { Document } from '../protocol/documents.ts';
import type { Timing } from './timing.ts';
import type { End, Link, Listener, Request, Transport } from './transport.ts';

/** What becomes of a race. */
export interface RaceListener {
  /**
   * The first to deliver has won, and the others are closed. Those in `failed` could not work here.
   * What it delivers, including the first document, goes to the listener that is given back.
   */
  won(transport: Transport, link: Link, failed: readonly Transport[]): Listener;
  /** None delivered, for the reason in `end`. */
  lost(end: End): void;
  /** A document that says why a link is about to end. That link has not delivered. */
  warned(document: Document): void;
}

/**
 * Runs until one transport delivers, all have failed, or the server itself has answered no.
 *
 * A transport that can't work here gives way to the next at once; one that only opens is given
 * up after a while. Contenders ask for the same, and what the losers deliver is dropped.
 */
export class Race {
  readonly #waiting: Transport[];
  readonly #request: () => Request;
  readonly #timing: Timing;
  readonly #listener: RaceListener;
  readonly #running = new Map<Transport, Link>();
  readonly #failed: Transport[] = [];
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #over = false;

  constructor(
    transports: readonly Transport[],
    request: () => Request,
    timing: Timing,
    listener: RaceListener,
  ) {
    this.#waiting = [...transports];
    this.#request = request;
    this.#timing = timing;
    this.#listener = listener;
  }

  start(): void {
    this.#next();
  }

  /** Stop the race. The listener is not called any more. */
  close(): void {
    this.#over = true;
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    for (const link of this.#running.values()) {
      link.close();
    }
    this.#running.clear();
  }

  #next(): void {
    const transport = this.#waiting.shift();
    if (transport === undefined || this.#over) {
      return;
    }
    let heard: Listener | null = null;
    const deliver = (): Listener | null => {
      heard ??= this.#over ? null : this.#win(transport);
      return heard;
    };
    const link = transport.open(this.#request, {
      received: (document) => {
        if (document.type === 'error' && heard === null) {
          this.#listener.warned(document);
        } else {
          deliver()?.received(document);
        }
      },
      alive: (id) => deliver()?.alive(id),
      ended: (end) => {
        if (heard !== null) {
          heard.ended(end);
        } else if (!this.#over) {
          this.#lose(transport, end);
        }
      },
    });
    this.#running.set(transport, link);
    const patience = this.#timing.opening + Math.min(transport.hold * 1000, this.#timing.opening);
    this.#after(patience, () => {
      if (this.#running.has(transport)) {
        link.close();
        this.#lose(transport, {
          advice: 'back-off',
          reason: 'the server does not answer',
          unusable: true,
        });
      }
    });
    this.#after(this.#timing.headStart, () => {
      // If it has failed already, the next one has started.
      if (this.#running.has(transport)) {
        this.#next();
      }
    });
  }

  #win(transport: Transport): Listener {
    const link = this.#running.get(transport)!;
    this.#running.delete(transport);
    // Transports that were overtaken are very slow, or open and don't deliver: a later try will
    // tell.
    this.close();
    return this.#listener.won(transport, link, this.#failed);
  }

  #lose(transport: Transport, end: End): void {
    this.#running.delete(transport);
    if (end.unusable !== true) {
      // The server itself refused, or can't be reached: another transport would have the same
      // answer.
      this.close();
      this.#listener.lost(end);
      return;
    }
    this.#failed.push(transport);
    if (this.#running.size === 0 && this.#waiting.length === 0) {
      this.close();
      this.#listener.lost(end);
    } else {
      this.#next();
    }
  }

  #after(delay: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#over) {
        then();
      }
    }, delay);
    this.#timers.add(timer);
  }
}
