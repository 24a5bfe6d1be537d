/** Measures the round trip to the server, and how old samples are when they come. */

import type { Status } from './status.ts';

/** Least milliseconds between two reports of the lag. */
const LAG_MS = 1_000;
const PATIENCE_MS = 10_000;

export class LatencyMeter {
  readonly #url: URL;
  readonly #every: number;
  readonly #measure: (url: URL) => Promise<number | null>;
  readonly #show: (change: Partial<Status>) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lagShownAt = 0;
  /** Counts measurements, so that one that was stopped reports nothing. */
  #turn = 0;

  /** `every` is the milliseconds between two measurements of the round trip. */
  constructor(
    url: URL,
    every: number,
    measure: (url: URL) => Promise<number | null>,
    show: (change: Partial<Status>) => void,
  ) {
    this.#url = url;
    this.#every = every;
    this.#measure = measure;
    this.#show = show;
  }

  start(): void {
    this.stop();
    const turn = this.#turn;
    void this.#measure(this.#url).then((roundTrip) => {
      if (this.#turn === turn) {
        this.#show({ roundTrip });
        this.#timer = setTimeout(() => this.start(), this.#every);
      }
    });
  }

  stop(): void {
    this.#turn += 1;
    clearTimeout(this.#timer);
  }

  /** A sample of this time came. */
  arrived(time: number | undefined): void {
    const now = Date.now();
    if (time !== undefined && now - this.#lagShownAt >= LAG_MS) {
      this.#lagShownAt = now;
      this.#show({ lag: now - time });
    }
  }
}

/**
 * Milliseconds from sending the last request for a URL to its answer, without what it waited for in
 * this browser; null where the browser doesn't tell.
 */
function onTheWire(url: URL): number | null {
  const [entry] = performance.getEntriesByName(url.href, 'resource').slice(-1);
  const { requestStart = 0, responseStart = 0 } = (entry ??
    {}) as Partial<PerformanceResourceTiming>;
  return requestStart > 0 && responseStart > requestStart ? responseStart - requestStart : null;
}

/**
 * Milliseconds that a small request takes to the server and back; null without an answer, or where
 * the browser may not tell.
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
    await response.arrayBuffer();
    const taken = performance.now() - before;
    return response.ok ? (onTheWire(url) ?? taken) : null;
  } catch {
    return null;
  }
}
