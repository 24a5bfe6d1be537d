import type { Format } from '../format/units.ts';
import type { Colour } from '../store/panel.ts';
import type { Series } from '../store/series.ts';
import type { Extent } from './extent.ts';
import type { Frame } from './lines.ts';
import type { Look } from './palette.ts';

/** One line to draw. */
export interface Drawn {
  readonly series: Series;
  /** Tells it from the other lines of its panel. */
  readonly title: string;
  readonly colour: Colour;
  /** Drawn faintly, because another line is focused. */
  readonly faded: boolean;
  /** Marked at its newest point. */
  readonly headed: boolean;
  /** Shows a counter's own value rather than its change per second. */
  readonly raw: boolean;
}

/** What is drawn between the axes: curves, stacked areas, or the rows of a heatmap. */
export interface Picture {
  /** Names of the rows, from the top, if the y-axis has names instead of values. */
  readonly rows: readonly string[] | null;
  /**
   * Take the lines as they are now, for a span of time (Unix milliseconds) in columns of pixels.
   */
  take(drawn: readonly Drawn[], from: number, to: number, columns: number): void;
  /**
   * Take what has come since these lines were last taken, if that is all that has changed: gives
   * the first column that has to be painted again, which is `columns` if none has. Null if it can't
   * be told, so that all has to be taken again.
   */
  extend?(
    drawn: readonly Drawn[],
    from: number,
    to: number,
    columns: number,
    pixel: number,
  ): number | null;
  /** The lowest and the highest value; NaN if there is none. */
  reach(): readonly [number, number];
  paint(
    context: CanvasRenderingContext2D,
    frame: Frame,
    look: Look,
    /** Canvas pixels for one CSS pixel. */
    pixel: number,
    /** The lowest and the highest value of the axis. */
    extent: readonly [number, number],
    /** The first column to paint. */
    first: number,
  ): void;
  /** How the values of the axis are written, if they aren't those of the lines. */
  scaled?(format: Format): Format;
  /** The axis for these values, if it is another than is usual. */
  extent?(low: number, high: number, format: Format, before: Extent | null): Extent;
  /** The value of a row at a time, if there are rows. */
  at?(row: number, time: number): number;
}

/** The lowest and highest of some numbers; NaN is left out. */
export function reachOf(
  arrays: Iterable<readonly [lows: Float64Array, highs: Float64Array]>,
): [number, number] {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const [lows, highs] of arrays) {
    // Comparisons with NaN are false.
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
