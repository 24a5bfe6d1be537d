import type { Kind } from '../client/index.ts';
import type { Series } from './series.ts';

/**
 * The points of a line, ready to be drawn. After each point whose index is in `gaps` there is a
 * gap.
 */
export interface Line {
  times: Float64Array;
  values: Float64Array;
  /** Null if no point stands for more than one sample. */
  lows: Float64Array | null;
  highs: Float64Array | null;
  gaps: number[];
}

/** Whether a series of this kind is drawn as its change per second. */
export function isRate(kind: Kind): boolean {
  return kind === 'counter' || kind === 'delta';
}

/**
 * The line of a series from one time to another, with one more point beyond each end so that the
 * line reaches the edges. Counters and deltas become rates per second unless `raw` is set.
 */
export function lineOf(series: Series, from: number, to: number, raw = false): Line {
  const { column } = series;
  const rate = isRate(series.kind) && !raw;
  const least = leastSpan(series);
  // The rate at a point is computed from the points before it.
  const first = Math.max(0, column.indexOf(rate ? from - least : from) - (rate ? 2 : 1));
  const last = Math.min(column.length, column.indexOf(to) + 1);
  const { times, values, lows, highs } = column.slice(first, last);
  const gaps = series.gapsOf(times);
  return rate
    ? rates(series.kind, times, values, gaps, least)
    : { times, values, lows, highs, gaps };
}

/** The newest value of a series as it is drawn; NaN if there is none yet. */
export function latestOf(series: Series, raw = false): number {
  const { column } = series;
  if (raw || !isRate(series.kind)) {
    return column.lastValue;
  }
  return rateBefore(series, column.length);
}

/** The value of a line at a time: that of the newest point up to then, unless a gap follows it. */
export function valueAt(series: Series, time: number, raw = false): number {
  const { column } = series;
  const after = column.indexOf(time + 1);
  if (after === 0 || (after === column.length && series.isGap(column.lastTime, time))) {
    return Number.NaN;
  }
  const { times, values } = column.slice(after - 1, Math.min(column.length, after + 1));
  if (times.length > 1 && series.isGap(times[0]!, times[1]!) && time > times[0]!) {
    return Number.NaN;
  }
  return raw || !isRate(series.kind) ? values[0]! : rateBefore(series, after);
}

/**
 * A rate is computed over at least this many milliseconds. Two samples that arrived almost together
 * give no useful rate, so a rate is taken over the usual interval, as PromQL takes it over a
 * window.
 */
function leastSpan({ interval }: Series): number {
  return 0.8 * interval;
}

/** The rate at the last of this many points; NaN if there are too few. */
function rateBefore(series: Series, count: number): number {
  const { column } = series;
  const least = leastSpan(series);
  const last = column.slice(count - 1, count).times[0] ?? Number.NaN;
  const first = Math.max(0, column.indexOf(last - least) - 1);
  const { times, values } = column.slice(first, count);
  return times.length < 2 ? Number.NaN : step(series.kind, times, values, times.length - 1, least);
}

function rates(
  kind: Kind,
  times: Float64Array,
  values: Float64Array,
  gaps: number[],
  least: number,
): Line {
  // The first points may have too few points before them.
  let first = 1;
  while (first < times.length && times[first]! - times[0]! < least / 2) {
    first += 1;
  }
  const count = Math.max(0, times.length - first);
  const result = new Float64Array(count);
  for (let index = 0; index < count; index += 1) {
    result[index] = step(kind, times, values, index + first, least);
  }
  return {
    times: times.subarray(first),
    values: result,
    lows: null,
    highs: null,
    gaps: gaps.map((index) => index - first).filter((index) => index >= 0),
  };
}

/**
 * The change per second up to a point, from the last point that is at least the shortest span
 * before it. A counter that fell was reset and counts from zero again.
 */
function step(
  kind: Kind,
  times: Float64Array,
  values: Float64Array,
  index: number,
  least: number,
): number {
  const end = times[index]!;
  let since = index;
  let sum = 0;
  do {
    const value = values[since]!;
    const change = value - values[since - 1]!;
    sum += kind === 'delta' || change < 0 ? value : change;
    since -= 1;
  } while (since > 0 && end - times[since]! < least);
  const seconds = (end - times[since]!) / 1000;
  return seconds * 1000 < least / 2 ? Number.NaN : sum / seconds;
}
