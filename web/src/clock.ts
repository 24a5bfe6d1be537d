/** The server's idea of now, for a browser whose clock may be wrong. */
export class Clock {
  private skew = 0;

  /** Unix milliseconds as the server has them. */
  now(): number {
    return Date.now() + this.skew;
  }

  /** Compare with the server's clock. Without an answer the browser's is believed. */
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
    if (!Number.isNaN(skew) && after - before < 2000) {
      this.skew = Math.abs(skew) > 2000 ? skew : 0;
    }
  }
}
