/** A dashboard that others may change: the server answers when it has become another version. */

import type { Kept, Loaded } from './model.ts';

/** Seconds that the server is asked to wait with its answer. */
const WAIT = 25;
/** Where it didn't wait, or there is nothing to wait for. */
const PAUSE_MS = 10_000;
const LEAST_PAUSE_MS = 1_000;
const MOST_PAUSE_MS = 30_000;

/**
 * Have `onChange` told of each version after `etag`, null where it was deleted, until what is
 * returned is called. Waits only while the page is in sight, and looks when it is seen again.
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
      // The server is away, or this is out of sight, which is waited for above.
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
