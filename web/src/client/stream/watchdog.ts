/** Notices that a link has gone silent. */

/** A heartbeat that is this many times overdue will not come. */
const PATIENCE = 2.5;
const DEFAULT_HEARTBEAT = 15;

export class Watchdog {
  /** Seconds of quiet after which the server sends a heartbeat, as its `hello` says. */
  heartbeat = DEFAULT_HEARTBEAT;
  readonly #onSilent: () => void;
  #deadline = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onSilent` is called when nothing came for too long. */
  constructor(onSilent: () => void) {
    this.#onSilent = onSilent;
  }

  /** Something came by a link, which may be silent for `hold` seconds more than heartbeats are. */
  heard(hold: number): void {
    const patience = (this.heartbeat * PATIENCE + hold) * 1000;
    this.#deadline = Date.now() + patience;
    this.#wait(patience);
  }

  /** Wait only so many milliseconds for what comes next. */
  hasten(ms: number): void {
    this.#wait(ms);
  }

  /** Look at the clock: while the machine slept, no timer ran. */
  check(): void {
    if (Date.now() > this.#deadline) {
      this.#onSilent();
    }
  }

  /** There is no link any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#deadline = Number.POSITIVE_INFINITY;
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onSilent, ms);
  }
}
