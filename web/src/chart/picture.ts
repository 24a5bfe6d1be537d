import type { Series } from '../store/series.ts';
import type { Frame } from './lines.ts';
import type { Look } from './palette.ts';

/** One line to draw. */
export interface Drawn {
  readonly series: Series;
  /** What tells it from the others of its panel. */
  readonly title: string;
  readonly colour: number;
  /** Drawn back, because another one is looked at. */
  readonly faded: boolean;
  /** Marked at its end, where the next point will be. */
  readonly headed: boolean;
  /** A counter as it counts, rather than its change per second. */
  readonly raw: boolean;
}

/** What is drawn between the axes: curves, a stack of areas, or a map of rows. */
export interface Picture {
  /** Names of rows, from the top, where the y-axis has these instead of values. */
  readonly rows: readonly string[] | null;
  /** Look at the lines, from one time to another (Unix milliseconds) in columns of pixels. */
  take(drawn: readonly Drawn[], from: number, to: number, columns: number): void;
  /** The lowest and the highest value; NaN if there is none. */
  reach(): readonly [number, number];
  paint(
    context: CanvasRenderingContext2D,
    frame: Frame,
    look: Look,
    /** Canvas pixels of one CSS pixel. */
    pixel: number,
    /** From the lowest to the highest value of the axis. */
    extent: readonly [number, number],
  ): void;
  /** The value of a row at a time, where there are rows. */
  at?(row: number, time: number): number;
}

/** The lowest and highest of numbers, of which those that are none don't count. */
export function reachOf(
  arrays: Iterable<readonly [lows: Float64Array, highs: Float64Array]>,
): [number, number] {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const [lows, highs] of arrays) {
    // NaN is neither lower nor higher.
    for (const low of lows) {
      if (low < lowest) {
        lowest = low;
      }
    }
    for (const high of highs) {
      if (high > highest) {
        highest = high;
      }
    }
  }
  return lowest <= highest ? [lowest, highest] : [Number.NaN, Number.NaN];
}
