/** Tells a server that was restarted from several servers that share no log. */

/** The most earlier epochs that are remembered. */
const MOST = 8;
/** Milliseconds for which several servers are reported after that was last seen. */
const TOLD_MS = 60_000;

/**
 * A server that is restarted begins a new epoch, and its earlier epoch never comes back. An epoch
 * that does come back is that of another server, which answers at the same address.
 */
export class Epochs {
  #current: string | null = null;
  readonly #left: string[] = [];
  #seenAt = Number.NEGATIVE_INFINITY;

  /** An answer is of this epoch. */
  met(epoch: string, now: number): void {
    if (epoch === this.#current) {
      return;
    }
    const at = this.#left.indexOf(epoch);
    if (at >= 0) {
      this.#left.splice(at, 1);
      this.#seenAt = now;
    }
    if (this.#current !== null) {
      this.#left.push(this.#current);
      this.#left.splice(0, this.#left.length - MOST);
    }
    this.#current = epoch;
  }

  /** Whether several servers answered within the last minute. */
  several(now: number): boolean {
    return now - this.#seenAt < TOLD_MS;
  }
}
