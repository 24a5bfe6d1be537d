const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};

/**
 * Milliseconds of a span as people write it: `15m`, `1h30m`, or a number of seconds. Throws a
 * RangeError for what is none.
 */
export function parseDuration(text: string | number): number {
  const seconds = Number(text);
  if (Number.isFinite(seconds) && String(text).trim() !== '') {
    if (seconds > 0) {
      return seconds * 1000;
    }
  } else if (/^(\d+(ms|[smhdwy]))+$/.test(String(text))) {
    let sum = 0;
    for (const [, count, unit] of String(text).matchAll(/(\d+)(ms|[smhdwy])/g)) {
      sum += Number(count) * UNITS[unit!]!;
    }
    if (sum > 0) {
      return sum;
    }
  }
  throw new RangeError(`${JSON.stringify(text)} is not a span of time such as "15m" or "1h30m"`);
}
