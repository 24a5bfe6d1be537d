import { type Line, lineOf } from '../store/rate.ts';
import { DENSE, type Frame, fillBand, fillLine, strokeLine, xOf, yOf } from './lines.ts';
import { type Look, strokeOf } from './palette.ts';
import { type Drawn, type Picture, reachOf } from './picture.ts';
import { type Trace, traceOf } from './trace.ts';

const FADED = 0.18;
/** CSS pixels: the width of lines, and the radius of points that no line connects. */
const WIDTH = 1.5;
const DOT = 1.6;
/** The newest point of a line is larger by this. */
const HEAD = 1.5;

/** A value that is marked across the chart: from there on it deserves a warning or an alarm. */
export interface Mark {
  readonly at: number;
  readonly level: 'warning' | 'critical';
}

/** What lines were when they were taken, so that one can tell what has come since. */
interface Taken {
  readonly from: number;
  readonly to: number;
  readonly columns: number;
  /** Of each line: the number of its points, and its series' newest time and count of edits. */
  readonly lines: { readonly count: number; lastTime: number; readonly edits: number }[];
}

/**
 * A curve for each line, with the band between the lowest and highest samples that its merged
 * points stand for. Gaps stay open.
 */
export class Curves implements Picture {
  readonly rows = null;
  readonly #filled: boolean;
  readonly #thresholds: readonly Mark[];
  #drawn: readonly Drawn[] = [];
  #lines: Line[] = [];
  #traces: Trace[] = [];
  #taken: Taken | null = null;

  /** `filled` says whether the area under each curve is filled even if there are several. */
  constructor(filled: boolean, thresholds: readonly Mark[]) {
    this.#filled = filled;
    this.#thresholds = thresholds;
  }

  take(drawn: readonly Drawn[], from: number, to: number, columns: number): void {
    this.#drawn = drawn;
    this.#lines = drawn.map(({ series, raw }) => lineOf(series, from, to, raw));
    this.#traces = this.#lines.map((line) => traceOf(line, from, to, columns));
    const lines = drawn.map(({ series }, at) => ({
      count: this.#lines[at]!.times.length,
      lastTime: series.column.lastTime,
      edits: series.edits,
    }));
    this.#taken = { from, to, columns, lines };
  }

  extend(
    drawn: readonly Drawn[],
    from: number,
    to: number,
    columns: number,
    pixel: number,
  ): number | null {
    const taken = this.#taken;
    if (
      taken === null ||
      taken.from !== from ||
      taken.to !== to ||
      taken.columns !== columns ||
      drawn.length !== this.#drawn.length ||
      !drawn.every((one, at) => isSame(one, this.#drawn[at]!)) ||
      !drawn.every(({ series }, at) => series.edits === taken.lines[at]!.edits)
    ) {
      return null;
    }
    const width = (to - from) / columns;
    const newer = taken.lines.filter(
      ({ lastTime }, at) => drawn[at]!.series.column.lastTime !== lastTime,
    );
    if (newer.length === 0) {
      return columns;
    }
    // The column of a line's newest point goes on, and that point is no longer marked. NaN for a
    // line that has its first points.
    const changed = Math.min(
      columns - 1,
      ...newer.map(({ lastTime }) => Math.floor((lastTime - from) / width)),
    );
    const room = Math.ceil(DOT * HEAD * pixel) + 1;
    const first = changed - room;
    if (!(first > 0) || taken.lines.some(({ count }) => count < columns * DENSE)) {
      return null;
    }
    // From further back, so that the first column is as it would be with all of the line.
    const begin = from + (first - 2 * room) * width;
    const lines = drawn.map(({ series, raw }) =>
      lineOf(series, begin - 4 * series.interval, to, raw),
    );
    const traces = lines.map((line) => traceOf(line, from, to, columns));
    if (traces.some(({ floor }, at) => (floor === null) !== (this.#traces[at]!.floor === null))) {
      return null;
    }
    for (const [at, trace] of traces.entries()) {
      for (const edge of ['lows', 'highs', 'floor', 'ceiling'] as const) {
        this.#traces[at]![edge]?.set(trace[edge]!.subarray(changed), changed);
      }
      taken.lines[at]!.lastTime = drawn[at]!.series.column.lastTime;
    }
    this.#lines = lines;
    return first;
  }

  reach(): [number, number] {
    const [low, high] = reachOf(
      this.#traces.map(({ lows, highs, floor, ceiling }) => [floor ?? lows, ceiling ?? highs]),
    );
    // Without filled areas the axis need not include zero.
    return this.#filled ? [Math.min(low, 0), Math.max(high, 0)] : [low, high];
  }

  paint(
    context: CanvasRenderingContext2D,
    frame: Frame,
    look: Look,
    pixel: number,
    _: unknown,
    first: number,
  ): void {
    this.#drawThresholds(context, frame, look, pixel);
    const zero = Math.max(frame.min, Math.min(0, frame.max));
    for (const [index, line] of this.#lines.entries()) {
      const { colour, faded, headed } = this.#drawn[index]!;
      const trace = this.#traces[index]!;
      const { stroke, dash } = strokeOf(colour, look);
      context.strokeStyle = stroke;
      context.fillStyle = stroke;
      context.globalAlpha = faded ? 0.04 : 0.22;
      fillBand(context, trace, frame, first);
      context.globalAlpha = faded ? FADED : 1;
      if ((this.#filled || this.#drawn.length === 1) && (first > 0 || line.times.length > 1)) {
        context.globalAlpha *= 0.12;
        fillLine(context, trace, frame, zero, first);
        context.globalAlpha /= 0.12;
      }
      const pen = { width: WIDTH * pixel, dash: dash.map((length) => length * pixel) };
      strokeLine(context, line, trace, frame, pen, first);
      dots(context, line, frame, DOT * pixel, headed);
    }
  }

  /**
   * Draw the thresholds within the axis. The axis is not extended for them: that would flatten the
   * lines.
   */
  #drawThresholds(
    context: CanvasRenderingContext2D,
    frame: Frame,
    look: Look,
    pixel: number,
  ): void {
    for (const { at, level } of this.#thresholds) {
      if (at >= frame.min && at <= frame.max) {
        const y = yOf(frame)(at);
        context.strokeStyle = look[level];
        context.lineWidth = pixel;
        context.globalAlpha = 0.9;
        context.setLineDash([6 * pixel, 3 * pixel]);
        context.beginPath();
        context.moveTo(frame.left, y);
        context.lineTo(frame.left + frame.width, y);
        context.stroke();
        context.setLineDash([]);
      }
    }
  }
}

/** Whether two lines are drawn alike, as far as their points are the same. */
function isSame(one: Drawn, other: Drawn): boolean {
  return (
    one.series === other.series &&
    one.colour === other.colour &&
    one.faded === other.faded &&
    one.headed === other.headed &&
    one.raw === other.raw
  );
}

/** Draw points that no line connects, and the newest point of a line that goes on. */
function dots(
  context: CanvasRenderingContext2D,
  { times, values, gaps }: Line,
  frame: Frame,
  radius: number,
  headed: boolean,
): void {
  const x = xOf(frame);
  const y = yOf(frame);
  const dot = (at: number, size: number): void => {
    context.beginPath();
    context.arc(x(times[at]!), y(values[at]!), size, 0, 2 * Math.PI);
    context.fill();
  };
  const ends = [-1, ...gaps, times.length - 1];
  for (let at = 1; at < ends.length; at += 1) {
    if (ends[at]! - ends[at - 1]! === 1) {
      dot(ends[at]!, radius);
    }
  }
  if (headed && times.length > 0) {
    dot(times.length - 1, radius * HEAD);
  }
}
