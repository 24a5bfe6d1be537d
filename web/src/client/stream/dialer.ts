/** Opens links: fetches a token, and has transports race for the first document. */

import { Network } from '../links/network.ts';
import { Race } from '../links/race.ts';
import type { Timing } from '../links/timing.ts';
import type { End, Link, Listener, Request, Transport } from '../links/transport.ts';
import type { Document } from '../protocol/documents.ts';
import { Credentials, type TokenSource } from './credentials.ts';

/** What becomes of `dial`, unless it is stopped. */
export interface DialListener {
  /** There is a token: gives what links are to ask for. */
  opening(token: string | null): () => Request;
  /** This link delivers: what comes by it goes to the listener that is given back. */
  won(transport: Transport, link: Link): Listener;
  /** No link could be opened. */
  lost(end: End): void;
  /** There is no token. */
  noToken(reason: string): void;
  /** A document that says why a link is about to end. */
  warned(document: Document): void;
}

export class Dialer {
  readonly network: Network;
  readonly credentials: Credentials;
  /** What the newest link was opened with. */
  token: string | null = null;
  readonly #transports: readonly Transport[];
  readonly #timing: Timing;
  readonly #listener: DialListener;
  #race: Race | null = null;
  /** Counts calls, so that a token that comes too late is not used. */
  #tries = 0;

  constructor(
    transports: readonly Transport[],
    timing: Timing,
    source: TokenSource | null,
    listener: DialListener,
  ) {
    this.#transports = transports;
    this.#timing = timing;
    this.network = new Network(timing);
    this.credentials = new Credentials(source);
    this.#listener = listener;
  }

  /** Whether links are being opened. */
  get racing(): boolean {
    return this.#race !== null;
  }

  dial(): void {
    this.stop();
    const attempt = this.#tries;
    const token = this.credentials.get();
    if (token instanceof Promise) {
      token.then(
        (token) => attempt === this.#tries && this.#open(token),
        (error) => {
          if (attempt === this.#tries) {
            const why = error instanceof Error ? error.message : String(error);
            this.#listener.noToken(`there is no token: ${why}`);
          }
        },
      );
    } else {
      this.#open(token);
    }
  }

  /** Give up what is being opened. */
  stop(): void {
    this.#tries += 1;
    this.#race?.close();
    this.#race = null;
  }

  #open(token: string | null): void {
    this.token = token;
    const { network } = this;
    const listener = this.#listener;
    const request = listener.opening(token);
    this.#race = new Race(network.order(this.#transports), request, this.#timing, {
      won: (transport, link, failed) => {
        this.#race = null;
        for (const { name } of failed) {
          network.failed(name);
        }
        network.worked(transport.name);
        return listener.won(transport, link);
      },
      lost: (end) => {
        this.#race = null;
        network.reset();
        listener.lost(end);
      },
      warned: (document) => listener.warned(document),
    });
    this.#race.start();
  }
}
