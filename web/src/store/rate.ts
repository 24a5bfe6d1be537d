import type { Kind } from '../client/index.ts';
import type { Series } from './series.ts';

/** The points of a line, ready to be drawn. `gaps` are indexes of points that a gap follows. */
export interface Line {
  times: Float64Array;
  values: Float64Array;
  /** Null where no point stands for more than one sample. */
  lows: Float64Array | null;
  highs: Float64Array | null;
  gaps: number[];
}

/** Whether a series of this kind is drawn as its change per second. */
export function isRate(kind: Kind): boolean {
  return kind === 'counter' || kind === 'delta';
}

/**
 * What a series looks like from one time to another, with one point beyond each end so that its
 * line reaches the edges. Counters and deltas become rates per second unless they are wanted `raw`.
 */
export function lineOf(series: Series, from: number, to: number, raw = false): Line {
  const { column } = series;
  const rate = isRate(series.kind) && !raw;
  // The rate of a point needs the point before it.
  const first = Math.max(0, column.indexOf(from) - (rate ? 2 : 1));
  const last = Math.min(column.length, column.indexOf(to) + 1);
  const { times, values, lows, highs } = column.slice(first, last);
  const gaps = series.gapsOf(times);
  return rate ? rates(series.kind, times, values, gaps) : { times, values, lows, highs, gaps };
}

/** The newest value of a series as it is drawn; NaN if there is none yet. */
export function latestOf(series: Series, raw = false): number {
  const { column } = series;
  if (raw || !isRate(series.kind)) {
    return column.lastValue;
  }
  const { times, values } = column.slice(Math.max(0, column.length - 2));
  return times.length < 2 ? Number.NaN : step(series.kind, times, values, 1);
}

/** The value of a line at a time: that of the newest point until then, if none is missing. */
export function valueAt(series: Series, time: number, raw = false): number {
  const { column } = series;
  const after = column.indexOf(time + 1);
  if (after === 0 || (after === column.length && series.isGap(column.lastTime, time))) {
    return Number.NaN;
  }
  const { times, values } = column.slice(
    Math.max(0, after - 2),
    Math.min(column.length, after + 1),
  );
  const at = after >= 2 ? 1 : 0;
  if (at + 1 < times.length && series.isGap(times[at]!, times[at + 1]!) && time > times[at]!) {
    return Number.NaN;
  }
  if (raw || !isRate(series.kind)) {
    return values[at]!;
  }
  return at === 0 ? Number.NaN : step(series.kind, times, values, 1);
}

function rates(kind: Kind, times: Float64Array, values: Float64Array, gaps: number[]): Line {
  const count = Math.max(0, times.length - 1);
  const result = new Float64Array(count);
  for (let index = 0; index < count; index += 1) {
    result[index] = step(kind, times, values, index + 1);
  }
  return {
    times: times.subarray(1),
    values: result,
    lows: null,
    highs: null,
    gaps: gaps.map((index) => index - 1).filter((index) => index >= 0),
  };
}

/** Change per second up to a point. A counter that fell was reset and counts from zero again. */
function step(kind: Kind, times: Float64Array, values: Float64Array, index: number): number {
  const seconds = (times[index]! - times[index - 1]!) / 1000;
  const value = values[index]!;
  if (kind === 'delta') {
    return value / seconds;
  }
  const change = value - values[index - 1]!;
  return (change < 0 ? value : change) / seconds;
}
