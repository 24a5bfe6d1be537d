/** Follows a dashboard that others may change: the server answers when it has another version. */

import type { Kept, Loaded } from './model.ts';

/** Seconds that the server is asked to wait with its answer. */
const WAIT = 25;
/** Milliseconds until the next request if the server didn't wait. */
const PAUSE_MS = 10_000;
const LEAST_PAUSE_MS = 1_000;
const MOST_PAUSE_MS = 30_000;

/**
 * Call `onChange` with each version after `etag`, or with null if the dashboard is deleted, until
 * the returned function is called. Asks only while the page is in sight, and at once when it comes
 * into sight.
 */
export function follow(
  origin: URL,
  name: string,
  etag: string,
  onChange: (next: Loaded | null) => void,
): () => void {
  const ending = new AbortController();
  void run(new URL(`v1/dashboards/${encodeURIComponent(name)}`, origin), etag, onChange, ending);
  return () => ending.abort();
}

async function run(
  url: URL,
  etag: string,
  onChange: (next: Loaded | null) => void,
  { signal }: AbortController,
): Promise<void> {
  let known = etag;
  let pause = LEAST_PAUSE_MS;
  while (!signal.aborted) {
    await inSight(signal);
    const asking = new AbortController();
    const stop = (): void => {
      if (signal.aborted || document.visibilityState === 'hidden') {
        asking.abort();
      }
    };
    signal.addEventListener('abort', stop);
    document.addEventListener('visibilitychange', stop);
    try {
      stop();
      const response = await fetch(url, {
        headers: { Accept: 'application/json', 'If-None-Match': known, Prefer: `wait=${WAIT}` },
        cache: 'no-store',
        signal: asking.signal,
      });
      if (response.ok) {
        const kept = (await response.json()) as Kept;
        known = response.headers.get('ETag') ?? '';
        onChange({ kept, etag: known });
      } else if (response.status === 404 && known !== '') {
        known = '';
        onChange(null);
      }
      const waited = response.ok || response.headers.has('Preference-Applied');
      pause = LEAST_PAUSE_MS;
      await sleep(waited ? 0 : PAUSE_MS, signal);
    } catch {
      // The server is away, or the page is out of sight, which the beginning of the loop waits for.
      if (!asking.signal.aborted) {
        await sleep(pause * (0.5 + Math.random()), signal);
        pause = Math.min(MOST_PAUSE_MS, 2 * pause);
      }
    } finally {
      signal.removeEventListener('abort', stop);
      document.removeEventListener('visibilitychange', stop);
    }
  }
}

function inSight(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (signal.aborted || document.visibilityState !== 'hidden') {
        document.removeEventListener('visibilitychange', look);
        signal.removeEventListener('abort', look);
        resolve();
      }
    };
    document.addEventListener('visibilitychange', look);
    signal.addEventListener('abort', look);
    look();
  });
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
