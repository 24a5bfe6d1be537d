/** The quickest document within this many milliseconds counts. */
const SPAN_MS = 30_000;

/** The server's clock, for browsers whose own clock may be wrong. */
export class Clock {
  #skew = 0;
  #heardAt = Number.NEGATIVE_INFINITY;
  /**
   * The smallest difference between arrival and sending of a document, in this span and in the one
   * before.
   */
  #least = Number.POSITIVE_INFINITY;
  #before = Number.POSITIVE_INFINITY;
  #leastTrip = Number.POSITIVE_INFINITY;

  /** The server's time in Unix milliseconds. */
  now(): number {
    return Date.now() + this.#skew;
  }

  /**
   * A document arrived that the server made at `sent`. The quickest of many took half of a round
   * trip; the rest of the difference is that of the clocks.
   */
  heard(sent: number, roundTrip: number | null): void {
    const at = Date.now();
    if (at - this.#heardAt >= SPAN_MS) {
      this.#before = this.#least;
      this.#least = Number.POSITIVE_INFINITY;
      this.#heardAt = at;
    }
    this.#least = Math.min(this.#least, at - sent);
    this.#leastTrip = Math.min(this.#leastTrip, roundTrip ?? Number.POSITIVE_INFINITY);
    const way = Number.isFinite(this.#leastTrip) ? this.#leastTrip / 2 : 0;
    this.#skew = way - Math.min(this.#least, this.#before);
  }
}
