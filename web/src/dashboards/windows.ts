/** How much time is shown at once, and how far one can look back. */

const MINUTE = 60_000;

/** The windows on offer, in milliseconds. */
export const WINDOWS: readonly { readonly ms: number; readonly title: string }[] = [
  { ms: MINUTE / 2, title: '30s' },
  { ms: MINUTE, title: '1m' },
  { ms: 5 * MINUTE, title: '5m' },
  { ms: 15 * MINUTE, title: '15m' },
  { ms: 60 * MINUTE, title: '1h' },
  { ms: 180 * MINUTE, title: '3h' },
  { ms: 360 * MINUTE, title: '6h' },
];
/** The shortest window, and how far one can look back. */
export const LEAST_WINDOW = 5_000;
export const FARTHEST = 360 * MINUTE;

/** Whether a window of this many milliseconds can be shown. */
export function isWindow(ms: number): boolean {
  return ms >= LEAST_WINDOW && ms <= FARTHEST;
}
