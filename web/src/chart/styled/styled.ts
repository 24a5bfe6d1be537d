/** Lines drawn as points, steps or bars, on a logarithmic axis, with thresholds as areas. */

import type { Format } from '../../format/units.ts';
import { type Line, lineOf } from '../../store/rate.ts';
import { type Extent, extentOf } from '../extent.ts';
import { type Frame, fillLine, strokeLine, xOf, yOf } from '../lines.ts';
import { type Look, strokeOf } from '../palette.ts';
import { type Drawn, type Picture, reachOf } from '../picture.ts';
import { type Trace, traceOf } from '../trace.ts';
import { bandsOf } from './bands.ts';

const FADED = 0.18;
/** CSS pixels. */
const WIDTH = 1.5;
const POINT = 2;
/** Of the time between two points that a bar takes. */
const BAR = 0.8;
/** Milliseconds between the end of a step and the next one: a line has one value at a time. */
const BRIEF = 0.01;
/** The most decades of a logarithmic axis that each have a line. */
const MOST_DECADES = 6;

export interface Styles {
  /** Whether areas are filled. */
  readonly filled: boolean;
  readonly style?: 'points' | 'steps' | 'bars' | undefined;
  readonly log?: boolean | undefined;
  readonly areas?: boolean | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly thresholds?:
    | readonly {
        readonly at: number;
        readonly level: 'warning' | 'critical';
        readonly below?: boolean;
      }[]
    | undefined;
}

export class Styled implements Picture {
  readonly rows = null;
  readonly #styles: Styles;
  #drawn: readonly Drawn[] = [];
  #lines: Line[] = [];
  #traces: Trace[] = [];

  constructor(styles: Styles) {
    this.#styles = styles;
  }

  take(drawn: readonly Drawn[], from: number, to: number, columns: number): void {
    const { style, log } = this.#styles;
    this.#drawn = drawn;
    this.#lines = drawn.map(({ series, raw }) => {
      const line = lineOf(series, from, to, raw);
      const scaled = log ? logarithms(line) : line;
      return style === 'steps' ? steps(scaled) : scaled;
    });
    this.#traces = this.#lines.map((line) => traceOf(line, from, to, columns));
  }

  reach(): [number, number] {
    const [low, high] = reachOf(this.#traces.map(({ lows, highs }) => [lows, highs]));
    const { min, max } = this.#styles;
    // An end that is given may leave out zero.
    return this.#fromZero
      ? [min === undefined ? Math.min(low, 0) : low, max === undefined ? Math.max(high, 0) : high]
      : [low, high];
  }

  scaled(format: Format): Format {
    return this.#styles.log
      ? { ...format, bounds: null, ticks: (values) => values.map((at) => format.value(10 ** at)) }
      : format;
  }

  extent(low: number, high: number, format: Format, before: Extent | null): Extent {
    const { log, min, max } = this.#styles;
    if (!(low <= high)) {
      return before ?? { min: 0, max: 1, step: log ? 1 : 0.25 };
    }
    const own = (end: number | undefined): number =>
      end === undefined ? Number.NaN : log ? Math.log10(end) : end;
    const [least, most] = [own(min), own(max)];
    const bottom = least <= low ? least : low;
    const top = most >= high ? most : high;
    if (log) {
      const from = Math.floor(bottom + 1e-9);
      const to = Math.max(Math.ceil(top - 1e-9), from + 1);
      return { min: from, max: to, step: Math.ceil((to - from) / MOST_DECADES) };
    }
    const bounds = least <= low && most >= high ? ([least, most] as const) : null;
    const usual = extentOf(bottom, top, { base: format.base, bounds: bounds ?? null }, before);
    return {
      min: least <= low ? least : usual.min,
      max: most >= high ? most : usual.max,
      step: usual.step,
    };
  }

  paint(context: CanvasRenderingContext2D, frame: Frame, look: Look, pixel: number): void {
    const { style, filled } = this.#styles;
    this.#drawThresholds(context, frame, look, pixel);
    const zero = this.#styles.log ? frame.min : Math.max(frame.min, Math.min(0, frame.max));
    for (const [index, line] of this.#lines.entries()) {
      const { colour, faded, headed } = this.#drawn[index]!;
      const trace = this.#traces[index]!;
      const { stroke, dash } = strokeOf(colour, look);
      context.strokeStyle = stroke;
      context.fillStyle = stroke;
      context.globalAlpha = faded ? FADED : 1;
      if (style === 'points') {
        points(context, line, frame, POINT * pixel);
        continue;
      }
      if (style === 'bars') {
        context.globalAlpha *= this.#drawn.length > 1 ? 0.6 : 0.8;
        bars(context, line, frame, zero, pixel);
        continue;
      }
      if ((filled || this.#drawn.length === 1) && line.times.length > 1) {
        context.globalAlpha *= 0.12;
        fillLine(context, trace, frame, zero);
        context.globalAlpha /= 0.12;
      }
      strokeLine(context, line, trace, frame, {
        width: WIDTH * pixel,
        dash: dash.map((length) => length * pixel),
      });
      if (headed || line.times.length === 1) {
        points(context, last(line), frame, 1.2 * POINT * pixel);
      }
    }
    context.globalAlpha = 1;
  }

  get #fromZero(): boolean {
    const { filled, style, log } = this.#styles;
    return (filled || style === 'bars') && !log;
  }

  #drawThresholds(
    context: CanvasRenderingContext2D,
    frame: Frame,
    look: Look,
    pixel: number,
  ): void {
    const { thresholds = [], log, areas } = this.#styles;
    const marks = thresholds
      .map((one) => ({ ...one, at: log ? Math.log10(one.at) : one.at }))
      .filter(({ at }) => Number.isFinite(at));
    const y = yOf(frame);
    if (areas) {
      for (const { level, from, to } of bandsOf(marks, frame.min, frame.max)) {
        context.fillStyle = look[level];
        context.globalAlpha = 0.14;
        context.fillRect(frame.left, y(to), frame.width, y(from) - y(to));
      }
    }
    for (const { at, level } of marks) {
      if (at >= frame.min && at <= frame.max) {
        context.strokeStyle = look[level];
        context.lineWidth = pixel;
        context.globalAlpha = 0.9;
        context.setLineDash([6 * pixel, 3 * pixel]);
        context.beginPath();
        context.moveTo(frame.left, y(at));
        context.lineTo(frame.left + frame.width, y(at));
        context.stroke();
        context.setLineDash([]);
      }
    }
  }
}

/** Powers of ten; what is not above zero is none, and leaves a gap. */
export function logarithms({ times, values, gaps }: Line): Line {
  const kept = [...values.keys()].filter((at) => values[at]! > 0);
  const breaks = new Set(gaps);
  const open: number[] = [];
  for (let index = 1; index < kept.length; index += 1) {
    const [before, at] = [kept[index - 1]!, kept[index]!];
    if (at !== before + 1 || breaks.has(before)) {
      open.push(index - 1);
    }
  }
  return {
    times: Float64Array.from(kept, (at) => times[at]!),
    values: Float64Array.from(kept, (at) => Math.log10(values[at]!)),
    lows: null,
    highs: null,
    gaps: open,
  };
}

/** Each value holds until the next one. */
export function steps({ times, values, gaps }: Line): Line {
  const breaks = new Set(gaps);
  const [at, of]: [number[], number[]] = [[], []];
  const open: number[] = [];
  for (let index = 0; index < times.length; index += 1) {
    at.push(times[index]!);
    of.push(values[index]!);
    if (breaks.has(index)) {
      open.push(at.length - 1);
    } else if (index + 1 < times.length && times[index + 1]! - times[index]! > 2 * BRIEF) {
      at.push(times[index + 1]! - BRIEF);
      of.push(values[index]!);
    }
  }
  return {
    times: Float64Array.from(at),
    values: Float64Array.from(of),
    lows: null,
    highs: null,
    gaps: open,
  };
}

function last({ times, values }: Line): Pick<Line, 'times' | 'values'> {
  return { times: times.subarray(-1), values: values.subarray(-1) };
}

function points(
  context: CanvasRenderingContext2D,
  { times, values }: Pick<Line, 'times' | 'values'>,
  frame: Frame,
  radius: number,
): void {
  const [x, y] = [xOf(frame), yOf(frame)];
  for (const [index, time] of times.entries()) {
    if (time >= frame.from && time <= frame.to) {
      context.beginPath();
      context.arc(x(time), y(values[index]!), radius, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

/** A bar from zero for each point, as wide as the shortest time between two of them allows. */
function bars(
  context: CanvasRenderingContext2D,
  { times, values }: Line,
  frame: Frame,
  zero: number,
  pixel: number,
): void {
  const [x, y] = [xOf(frame), yOf(frame)];
  const spacing = times.reduce(
    (least, time, at) => (at === 0 ? least : Math.min(least, time - times[at - 1]!)),
    (frame.to - frame.from) / 10,
  );
  const width = Math.max(pixel, Math.floor(BAR * (x(spacing) - x(0))));
  const floor = Math.round(y(zero));
  for (const [index, time] of times.entries()) {
    const left = Math.max(frame.left, Math.round(x(time) - width / 2));
    const right = Math.min(frame.left + frame.width, left + width);
    if (right > left) {
      const top = Math.round(y(values[index]!));
      context.fillRect(
        left,
        Math.min(top, floor),
        right - left,
        Math.max(1, Math.abs(floor - top)),
      );
    }
  }
}
