/** Looks for a better transport while a lesser one serves. */

import { Race } from './race.ts';
import type { Timing } from './timing.ts';
import type { Listener, Request, Transport, TransportName } from './transport.ts';

const NOBODY: Listener = { received() {}, alive() {}, ended() {} };

/**
 * One for each stream. Who polls is not left to it; else each try that fails makes the next one wait
 * twice as long.
 */
export class Upgrade {
  private readonly transports: readonly Transport[];
  private readonly timing: Timing;
  /** What a try is to ask for; null while it had better not. */
  private readonly request: () => (() => Request) | null;
  /** This transport delivers again. */
  private readonly found: (name: TransportName) => void;
  private every: number;
  /** What serves waits for its answers to end. */
  private polls = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private race: Race | null = null;

  constructor(
    transports: readonly Transport[],
    timing: Timing,
    request: () => (() => Request) | null,
    found: (name: TransportName) => void,
  ) {
    this.transports = transports;
    this.timing = timing;
    this.request = request;
    this.found = found;
    this.every = timing.upgrade;
  }

  /** This one serves from now on. */
  serving(transport: Transport): void {
    const better = this.transports.slice(0, this.transports.indexOf(transport));
    if (better.length === 0) {
      this.every = this.timing.upgrade;
      this.stop();
    } else {
      this.polls = transport.hold > 0;
      this.plan(better, this.wait);
    }
  }

  /** Everything may be different now: try at once what is better than this one. */
  hurry(transport: Transport): void {
    this.every = this.timing.upgrade;
    this.plan(this.transports.slice(0, this.transports.indexOf(transport)), 0);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.race?.close();
    this.race = null;
  }

  private get wait(): number {
    return this.polls ? this.timing.upgradePolls : this.every;
  }

  private plan(better: readonly Transport[], delay: number): void {
    this.stop();
    if (better.length > 0) {
      this.timer = setTimeout(() => this.attempt(better), delay);
    }
  }

  private attempt(better: readonly Transport[]): void {
    const request = this.request();
    if (request === null) {
      this.plan(better, this.wait);
      return;
    }
    this.every = Math.min(this.timing.upgradeAtMost, this.every * 2);
    this.race = new Race(better, request, this.timing, {
      won: (transport, link) => {
        // It was only asked whether it delivers. The cursor has moved on since it was asked, so
        // that it is opened once more, when the other is closed: nothing can come twice.
        link.close();
        this.found(transport.name);
        return NOBODY;
      },
      lost: () => {
        this.race = null;
        this.plan(better, this.wait);
      },
      warned: () => {},
    });
    this.race.start();
  }
}
