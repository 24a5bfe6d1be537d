import { lineOf } from '../store/rate.ts';
import type { Series } from '../store/series.ts';

export interface Summary {
  /** NaN, like the others, if there is no point within the time. */
  readonly least: number;
  readonly most: number;
  /** The mean of the points as they are drawn, all with the same weight. */
  readonly mean: number;
}

/** Summarizes a series within a span of time; a counter as its rate unless `raw` is set. */
export function summaryOf(series: Series, from: number, to: number, raw = false): Summary {
  const { times, values, lows, highs } = lineOf(series, from, to, raw);
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let count = 0;
  for (let at = 0; at < times.length; at += 1) {
    if (times[at]! >= from && times[at]! <= to) {
      least = Math.min(least, (lows ?? values)[at]!);
      most = Math.max(most, (highs ?? values)[at]!);
      sum += values[at]!;
      count += 1;
    }
  }
  return count === 0
    ? { least: Number.NaN, most: Number.NaN, mean: Number.NaN }
    : { least, most, mean: sum / count };
}
