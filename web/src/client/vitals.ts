/** How fast the way to the server is, and how old what comes from it. */

import type { Status } from './status.ts';

/** How often a page is told of another lag. */
const LAG_MS = 1_000;
const PATIENCE_MS = 10_000;

export class Vitals {
  private readonly url: URL;
  private readonly every: number;
  private readonly measure: (url: URL) => Promise<number | null>;
  private readonly show: (change: Partial<Status>) => void;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lagShownAt = 0;
  /** Counts measurements, so that one that was stopped tells nothing. */
  private turn = 0;

  /** `every` is the milliseconds between two measurements of the round trip. */
  constructor(
    url: URL,
    every: number,
    measure: (url: URL) => Promise<number | null>,
    show: (change: Partial<Status>) => void,
  ) {
    this.url = url;
    this.every = every;
    this.measure = measure;
    this.show = show;
  }

  start(): void {
    this.stop();
    const { turn } = this;
    void this.measure(this.url).then((roundTrip) => {
      if (this.turn === turn) {
        this.show({ roundTrip });
        this.timer = setTimeout(() => this.start(), this.every);
      }
    });
  }

  stop(): void {
    this.turn += 1;
    clearTimeout(this.timer);
  }

  /** A sample of this time came. */
  arrived(time: number | undefined): void {
    const now = Date.now();
    if (time !== undefined && now - this.lagShownAt >= LAG_MS) {
      this.lagShownAt = now;
      this.show({ lag: now - time });
    }
  }
}

/**
 * Milliseconds that the smallest request there is takes to the server and back; null where that
 * can't be told: no answer, or not ours to see.
 */
export async function measureRoundTrip(stream: URL): Promise<number | null> {
  const url = new URL('../livez', stream);
  const before = performance.now();
  try {
    const response = await fetch(url, {
      method: 'HEAD',
      cache: 'no-store',
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return response.ok ? performance.now() - before : null;
  } catch {
    return null;
  }
}
