/** How long a request takes to the server and back: the smallest one there is, timed. */

const PATIENCE_MS = 10_000;

/** Milliseconds, or null where it can't be told: no answer, or not ours to see. */
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
