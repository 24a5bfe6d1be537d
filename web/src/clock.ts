/** Milliseconds over which the quickest frame is looked for. */
const SPAN_MS = 30_000;

/** The server's idea of now, for a browser whose clock may be wrong. */
export class Clock {
  private skew = 0;
  private heardAt = Number.NEGATIVE_INFINITY;
  /** The least that a frame's coming was after its sending, in this span and in the one before. */
  private least = Number.POSITIVE_INFINITY;
  private before = Number.POSITIVE_INFINITY;
  private leastTrip = Number.POSITIVE_INFINITY;

  /** Unix milliseconds as the server has them. */
  now(): number {
    return Date.now() + this.skew;
  }

  /**
   * A frame came, which the server says it made at `sent`. The quickest of many took as long as the
   * way takes: half of a round trip. What is left is the difference of the clocks.
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

  /** Compare with the server's clock, to the second, as long as no frame says it better. */
  async compare(url: URL): Promise<void> {
    const before = Date.now();
    let header: string | null;
    try {
      header = (await fetch(url, { method: 'HEAD', cache: 'no-store' })).headers.get('Date');
    } catch {
      return;
    }
    const after = Date.now();
    const theirs = header === null ? Number.NaN : Date.parse(header);
    // The header is cut to whole seconds: a smaller difference is none.
    const skew = theirs + 500 - (before + after) / 2;
    if (!Number.isNaN(skew) && after - before < 2000 && after - this.heardAt >= SPAN_MS) {
      this.skew = Math.abs(skew) > 2000 ? skew : 0;
    }
  }
}
