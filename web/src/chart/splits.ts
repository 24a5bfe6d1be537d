/** The places of grid lines: round numbers, and round times of day. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** In seconds. */
const DAY = 86_400;
const TIME_STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12, 24].map((n) => n * HOUR),
];

/** At most `most` round local times between two times. */
export function timeSplits(from: number, to: number, most: number): number[] {
  const step =
    TIME_STEPS.find((candidate) => (to - from) / candidate <= most) ?? TIME_STEPS.at(-1)!;
  // Steps of hours are round in local time.
  const zone = new Date(to).getTimezoneOffset() * MINUTE;
  return multiples(from - zone, to - zone, step).map((time) => time + zone);
}

/** The labels of these grid lines, with seconds only where they are needed. */
export function timeLabels(splits: readonly number[]): string[] {
  const seconds = splits.length > 1 && splits[1]! - splits[0]! < MINUTE;
  const two = (n: number): string => String(n).padStart(2, '0');
  return splits.map((time) => {
    const date = new Date(time);
    const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
    return seconds ? `${minutes}:${two(date.getSeconds())}` : minutes;
  });
}

/**
 * The round step that divides a span into at most `most` parts: 1, 2 or 5 times a power of ten.
 *
 * With base 1024 it is round in the unit that numbers of this magnitude are written in: a power of
 * two of these units, or a decimal fraction of one. With base 60 the span is in seconds, and the
 * step is one of a clock or of a calendar.
 */
export function roundStep(
  span: number,
  most: number,
  base: 10 | 1024 | 60,
  magnitude = span,
): number {
  const raw = span / most;
  if (base === 60) {
    const step = TIME_STEPS.find((one) => one >= raw * SECOND);
    return step === undefined ? DAY * decimal(raw / DAY) : step / SECOND;
  }
  if (base === 1024 && magnitude >= 1) {
    const unit = 1024 ** Math.floor(Math.log(magnitude) / Math.log(1024) + 1e-9);
    return raw >= unit
      ? unit * 2 ** Math.ceil(Math.log2(raw / unit) - 1e-9)
      : unit * decimal(raw / unit);
  }
  return decimal(raw);
}

function decimal(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= raw * (1 - 1e-9))!;
}

/** Multiples of a step from one number to another. */
export function multiples(from: number, to: number, step: number): number[] {
  const result: number[] = [];
  // Multiplied rather than added, so that errors don't accumulate.
  for (let n = Math.ceil(from / step - 1e-9); n * step <= to + step * 1e-9; n += 1) {
    result.push(n * step);
  }
  return result;
}
