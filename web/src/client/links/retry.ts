/** When to come back after a link ended. */

/** What the end of a link says about trying again. */
export type Advice = 'at-once' | 'back-off' | 'never';

/** What a close code asks for; codes that aren't the protocol's come from what sits between. */
export function adviceOfClose(code: number): Advice {
  if (code === 1008 || code === 1009 || (code >= 4000 && code < 4100)) {
    return 'never';
  }
  return code >= 4200 && code < 4300 ? 'at-once' : 'back-off';
}

/** Whether a close code or problem is about the token, so that another one may be accepted. */
export function aboutToken(closeCode: number, code: string | undefined): boolean {
  return (
    closeCode === 4001 ||
    closeCode === 4101 ||
    /token|unauthori[sz]ed|expired|credential/.test(code ?? '')
  );
}

const LEAST_MS = 500;
const MOST_MS = 20_000;

/**
 * Full jitter: anything from half a second up to a bound that doubles with each attempt (from 0),
 * 20 s at the most, so that clients cut off together don't come back together.
 */
export function backOff(attempt: number, random: () => number): number {
  const bound = Math.min(MOST_MS, 2 * LEAST_MS * 2 ** Math.min(attempt, 16));
  return LEAST_MS + random() * (bound - LEAST_MS);
}

/** `Retry-After` in milliseconds: seconds or a date (RFC 9110 section 10.2.3). */
export function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) {
    return undefined;
  }
  const seconds = Number(header);
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}
