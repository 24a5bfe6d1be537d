/** Which servers answer: one after the other, or several at once that know nothing of each other. */

/** Epochs that were left and are remembered: more servers behind one address are told as well. */
const MOST = 8;
/** So long after it was last seen, nobody is told any more. */
const TOLD_MS = 60_000;

/**
 * A server that is restarted begins an epoch, and the one before never comes back. One that does is
 * another server's, which answers at the same address.
 */
export class Epochs {
  private current: string | null = null;
  private readonly left: string[] = [];
  private seenAt = Number.NEGATIVE_INFINITY;

  /** An answer is of this epoch. */
  met(epoch: string, now: number): void {
    if (epoch === this.current) {
      return;
    }
    const at = this.left.indexOf(epoch);
    if (at >= 0) {
      this.left.splice(at, 1);
      this.seenAt = now;
    }
    if (this.current !== null) {
      this.left.push(this.current);
      this.left.splice(0, this.left.length - MOST);
    }
    this.current = epoch;
  }

  /** Whether several servers answered within the last minute. */
  several(now: number): boolean {
    return now - this.seenAt < TOLD_MS;
  }
}
