import type { Line } from '../store/rate.ts';

/**
 * The lowest and highest value of a line in each column of pixels; NaN where it has none. `floor`
 * and `ceiling` are the lowest and highest of the samples that merged points stand for.
 */
export interface Trace {
  readonly lows: Float64Array;
  readonly highs: Float64Array;
  readonly floor: Float64Array | null;
  readonly ceiling: Float64Array | null;
}

/**
 * Trace a line through `columns` columns of equal width from one time to another.
 *
 * Most of the time for long lines is spent here, so it is one pass, with nothing but comparisons
 * for a point in the same column as the one before it.
 */
export function traceOf(line: Line, from: number, to: number, columns: number): Trace {
  const { times, values } = line;
  const trace = pass(times, values, values, line.gaps, from, to, columns);
  if (line.lows === null || line.highs === null) {
    return { ...trace, floor: null, ceiling: null };
  }
  const band = pass(times, line.lows, line.highs, line.gaps, from, to, columns);
  return { ...trace, floor: band.lows, ceiling: band.highs };
}

/** The middle between the lowest and the highest value in each column. */
export function middlesOf({ lows, highs }: Trace): Float64Array {
  return lows.map((low, column) => (low + highs[column]!) / 2);
}

/** The lowest of `below` and the highest of `above` in each column, both interpolated. */
function pass(
  times: Float64Array,
  below: Float64Array,
  above: Float64Array,
  gaps: readonly number[],
  from: number,
  to: number,
  columns: number,
): { lows: Float64Array; highs: Float64Array } {
  const lows = new Float64Array(columns).fill(Number.NaN);
  const highs = new Float64Array(columns).fill(Number.NaN);
  const width = (to - from) / columns;
  let gap = 0;
  let broken = gaps.length > 0 ? gaps[0]! : -1;
  let column = -1;
  let end = Number.NEGATIVE_INFINITY; // of the column that is in hand
  let low = Number.NaN;
  let high = Number.NaN;
  for (let at = 0; at < times.length; at += 1) {
    const time = times[at]!;
    const bottom = below[at]!;
    const top = above[at]!;
    const joined = at > 0 && broken !== at - 1;
    if (time < end && joined) {
      if (bottom < low) {
        low = bottom;
      }
      if (top > high) {
        high = top;
      }
      continue;
    }
    if (at > 0 && broken === at - 1) {
      gap += 1;
      broken = gap < gaps.length ? gaps[gap]! : -1;
    }
    const next = Math.floor((time - from) / width);
    if (joined) {
      // The line crosses the borders of columns between two points.
      const before = times[at - 1]!;
      const fall = (bottom - below[at - 1]!) / (time - before);
      const rise = (top - above[at - 1]!) / (time - before);
      let edge = from + Math.max(column + 1, 0) * width;
      let edgeLow = below[at - 1]! + fall * (edge - before);
      let edgeHigh = above[at - 1]! + rise * (edge - before);
      store(lows, highs, column, Math.min(low, edgeLow), Math.max(high, edgeHigh));
      for (let crossed = Math.max(column + 1, 0); crossed < Math.min(next, columns); crossed += 1) {
        edge += width;
        const low = edgeLow;
        const high = edgeHigh;
        edgeLow = below[at - 1]! + fall * (edge - before);
        edgeHigh = above[at - 1]! + rise * (edge - before);
        store(lows, highs, crossed, Math.min(low, edgeLow), Math.max(high, edgeHigh));
      }
      low = Math.min(edgeLow, bottom);
      high = Math.max(edgeHigh, top);
    } else {
      store(lows, highs, column, low, high);
      low = bottom;
      high = top;
    }
    column = next;
    end = from + (next + 1) * width;
  }
  store(lows, highs, column, low, high);
  return { lows, highs };
}

/** Widen a column's range. A column with a gap may be traced twice. */
function store(
  lows: Float64Array,
  highs: Float64Array,
  column: number,
  low: number,
  high: number,
): void {
  if (column >= 0 && column < lows.length) {
    if (!(lows[column]! <= low)) {
      lows[column] = low;
    }
    if (!(highs[column]! >= high)) {
      highs[column] = high;
    }
  }
}
