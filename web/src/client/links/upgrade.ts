/** Looks for a better transport while a lesser one serves. */

import { Race } from './race.ts';
import type { Timing } from './timing.ts';
import type { Listener, Request, Transport, TransportName } from './transport.ts';

const IGNORED: Listener = { received() {}, alive() {}, ended() {} };

/**
 * One for each stream. While polls serve, the others are tried at a fixed interval; else each try
 * that fails doubles the wait for the next one.
 */
export class Upgrade {
  readonly #transports: readonly Transport[];
  readonly #timing: Timing;
  /** What a try is to ask for; null while it had better not be tried. */
  readonly #request: () => (() => Request) | null;
  /** This transport delivers. */
  readonly #found: (name: TransportName) => void;
  #every: number;
  /** Whether polls serve. */
  #polls = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #race: Race | null = null;

  constructor(
    transports: readonly Transport[],
    timing: Timing,
    request: () => (() => Request) | null,
    found: (name: TransportName) => void,
  ) {
    this.#transports = transports;
    this.#timing = timing;
    this.#request = request;
    this.#found = found;
    this.#every = timing.upgrade;
  }

  /** This one serves from now on. */
  serving(transport: Transport): void {
    const better = this.#transports.slice(0, this.#transports.indexOf(transport));
    if (better.length === 0) {
      this.#every = this.#timing.upgrade;
      this.stop();
    } else {
      this.#polls = transport.hold > 0;
      this.#plan(better, this.#wait);
    }
  }

  /** The network has changed: try at once what is better than this one. */
  tryNow(transport: Transport): void {
    this.#every = this.#timing.upgrade;
    this.#plan(this.#transports.slice(0, this.#transports.indexOf(transport)), 0);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#race?.close();
    this.#race = null;
  }

  get #wait(): number {
    return this.#polls ? this.#timing.upgradePolls : this.#every;
  }

  #plan(better: readonly Transport[], delay: number): void {
    this.stop();
    if (better.length > 0) {
      this.#timer = setTimeout(() => this.#attempt(better), delay);
    }
  }

  #attempt(better: readonly Transport[]): void {
    const request = this.#request();
    if (request === null) {
      this.#plan(better, this.#wait);
      return;
    }
    this.#every = Math.min(this.#timing.upgradeAtMost, this.#every * 2);
    this.#race = new Race(better, request, this.#timing, {
      won: (transport, link) => {
        // This link only tests whether the transport delivers. The cursor has moved on since it was
        // opened: the stream closes its link and then opens another one, so that nothing comes
        // twice.
        link.close();
        this.#found(transport.name);
        return IGNORED;
      },
      lost: () => {
        this.#race = null;
        this.#plan(better, this.#wait);
      },
      warned: () => {},
    });
    this.#race.start();
  }
}
