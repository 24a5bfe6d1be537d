import { type Line, lineOf } from '../store/rate.ts';
import { type Frame, fillBand, fillLine, strokeLine, xOf, yOf } from './lines.ts';
import { type Look, strokeOf } from './palette.ts';
import { type Drawn, type Picture, reachOf } from './picture.ts';
import { type Trace, traceOf } from './trace.ts';

const FADED = 0.18;
/** CSS pixels. */
const WIDTH = 1.5;

/** A value that is marked across the chart: from there on it deserves a warning or an alarm. */
export interface Mark {
  readonly at: number;
  readonly level: 'warning' | 'critical';
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

  /** `filled` says whether the area under each curve is filled even if there are several. */
  constructor(filled: boolean, thresholds: readonly Mark[]) {
    this.#filled = filled;
    this.#thresholds = thresholds;
  }

  take(drawn: readonly Drawn[], from: number, to: number, columns: number): void {
    this.#drawn = drawn;
    this.#lines = drawn.map(({ series, raw }) => lineOf(series, from, to, raw));
    this.#traces = this.#lines.map((line) => traceOf(line, from, to, columns));
  }

  reach(): [number, number] {
    const [low, high] = reachOf(
      this.#traces.map(({ lows, highs, floor, ceiling }) => [floor ?? lows, ceiling ?? highs]),
    );
    // Without filled areas the axis need not include zero.
    return this.#filled ? [Math.min(low, 0), Math.max(high, 0)] : [low, high];
  }

  paint(context: CanvasRenderingContext2D, frame: Frame, look: Look, pixel: number): void {
    this.#drawThresholds(context, frame, look, pixel);
    const zero = Math.max(frame.min, Math.min(0, frame.max));
    for (const [index, line] of this.#lines.entries()) {
      const { colour, faded, headed } = this.#drawn[index]!;
      const trace = this.#traces[index]!;
      const { stroke, dash } = strokeOf(colour, look);
      context.strokeStyle = stroke;
      context.fillStyle = stroke;
      context.globalAlpha = faded ? 0.04 : 0.22;
      fillBand(context, trace, frame);
      context.globalAlpha = faded ? FADED : 1;
      if ((this.#filled || this.#drawn.length === 1) && line.times.length > 1) {
        context.globalAlpha *= 0.12;
        fillLine(context, trace, frame, zero);
        context.globalAlpha /= 0.12;
      }
      strokeLine(context, line, trace, frame, {
        width: WIDTH * pixel,
        dash: dash.map((length) => length * pixel),
      });
      dots(context, line, frame, 1.6 * pixel, headed);
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
    dot(times.length - 1, radius * 1.5);
  }
}
