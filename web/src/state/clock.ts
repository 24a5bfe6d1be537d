/** Milliseconds within which the quickest document counts. */
const SPAN_MS = 30_000;

/** The server's clock, for a browser whose own clock may be wrong. */
export class Clock {
  private skew = 0;
  private heardAt = Number.NEGATIVE_INFINITY;
  /**
   * The least that a document's coming was after its sending, in this span and in the one before.
   */
  private least = Number.POSITIVE_INFINITY;
  private before = Number.POSITIVE_INFINITY;
  private leastTrip = Number.POSITIVE_INFINITY;

  /** Unix milliseconds as the server has them. */
  now(): number {
    return Date.now() + this.skew;
  }

  /**
   * A document came, which the server says it made at `sent`. The quickest of many took as long as
   * the way takes: half of a round trip. What is left is the difference of the clocks.
   */
  heard(sent: number, roundTrip: number | null): void {
    const at = Date.now();
    if (at - this.heardAt >= SPAN_MS) {
      this.before = this.least;
      this.least = Number.POSITIVE_INFINITY;
      this.heardAt = at;
    }
    this.least = Math.min(this.least, at - sent);
    this.leastTrip = Math.min(this.leastTrip, roundTrip ?? Number.POSITIVE_INFINITY);
    const way = Number.isFinite(this.leastTrip) ? this.leastTrip / 2 : 0;
    this.skew = way - Math.min(this.least, this.before);
  }
}
