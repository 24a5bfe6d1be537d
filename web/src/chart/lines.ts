/**
 * Lines on a canvas, a column of pixels at a time.
 *
 * A line with more points than pixels is a row of vertical strokes, from the lowest to the highest
 * that it passes in each column: the same picture as the polyline, and a hundredth of the work for
 * a rasterizer, which draws a jagged path slowly (see `python -m tests.bench soak`).
 */

import type { Line } from '../store/rate.ts';

/** A rectangle of canvas pixels, and the times and values at its edges. */
export interface Frame {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly from: number;
  readonly to: number;
  readonly min: number;
  readonly max: number;
}

export interface Stroke {
  /** Canvas pixels. */
  readonly width: number;
  /** Lengths of dashes and of what is between them, in canvas pixels. */
  readonly dash: readonly number[];
}

/** The highest and lowest canvas row that a line passes in each column; NaN where there is none. */
export interface Trace {
  readonly tops: Float32Array;
  readonly bottoms: Float32Array;
}

/** With fewer points than this for a column, a line is drawn as what it is. */
const DENSE = 1 / 3;

/** Where a time is, in canvas pixels. */
export function xOf({ left, width, from, to }: Frame): (time: number) => number {
  const scale = width / (to - from);
  return (time) => left + (time - from) * scale;
}

/** Where a value is, in canvas pixels. */
export function yOf({ top, height, min, max }: Frame): (value: number) => number {
  const scale = height / (max - min);
  return (value) => top + (max - value) * scale;
}

/** What a line passes of each column of a frame. */
export function traceOf({ times, gaps }: Line, values: Float64Array, frame: Frame): Trace {
  const columns = Math.ceil(frame.width);
  const tops = new Float32Array(columns).fill(Number.NaN);
  const bottoms = new Float32Array(columns).fill(Number.NaN);
  const x = xOf(frame);
  const y = yOf(frame);
  const pass = (column: number, one: number, other: number): void => {
    const top = Math.min(one, other);
    const bottom = Math.max(one, other);
    if (!(tops[column]! <= top)) {
      tops[column] = top;
    }
    if (!(bottoms[column]! >= bottom)) {
      bottoms[column] = bottom;
    }
  };
  let gap = 0;
  let before = 0;
  let row = 0;
  for (let at = 0; at < times.length; at += 1) {
    const here = x(times[at]!) - frame.left;
    const there = y(values[at]!);
    const column = Math.floor(here);
    const begins = at === 0 || gaps[gap] === at - 1;
    if (!begins) {
      // The line crosses the columns between two points.
      const slope = (there - row) / (here - before);
      let left = Math.max(before, 0);
      let passed = row + slope * (left - before);
      for (let next = Math.floor(left); next < Math.min(column, columns); next += 1) {
        const edge = row + slope * (next + 1 - before);
        pass(next, passed, edge);
        left = next + 1;
        passed = edge;
      }
      if (column >= 0 && column < columns) {
        pass(column, left > before ? passed : row, there);
      }
    } else if (column >= 0 && column < columns) {
      pass(column, there, there);
    }
    if (gaps[gap] === at - 1) {
      gap += 1;
    }
    before = here;
    row = there;
  }
  return { tops, bottoms };
}

/** Draw a line in the stroke and alpha that the context has. */
export function strokeLine(
  context: CanvasRenderingContext2D,
  line: Line,
  frame: Frame,
  { width, dash }: Stroke,
): void {
  if (line.times.length < frame.width * DENSE) {
    context.lineWidth = width;
    context.lineJoin = 'bevel';
    context.setLineDash([...dash]);
    context.stroke(polyline(line, frame));
    context.setLineDash([]);
    return;
  }
  const { tops, bottoms } = traceOf(line, line.values, frame);
  const period = dash.reduce((sum, length) => sum + length, 0);
  const path = new Path2D();
  for (let column = 0; column < tops.length; column += 1) {
    // A dash goes along the time: however steep the line is, it stays to be seen.
    if (!Number.isNaN(tops[column]) && (period === 0 || drawn(dash, column % period))) {
      path.moveTo(frame.left + column + 0.5, tops[column]! - width / 2);
      path.lineTo(frame.left + column + 0.5, bottoms[column]! + width / 2);
    }
  }
  columns(context, path);
}

/** Fill from a line to a row, in the stroke's colour. */
export function fillLine(
  context: CanvasRenderingContext2D,
  line: Line,
  frame: Frame,
  floor: number,
): void {
  const { tops } = traceOf(line, line.values, frame);
  const path = new Path2D();
  for (const [column, top] of tops.entries()) {
    if (!Number.isNaN(top)) {
      path.moveTo(frame.left + column + 0.5, top);
      path.lineTo(frame.left + column + 0.5, floor);
    }
  }
  columns(context, path);
}

/** Fill between the lowest and the highest of a line's points, in the stroke's colour. */
export function fillBand(context: CanvasRenderingContext2D, line: Line, frame: Frame): void {
  if (line.lows === null || line.highs === null) {
    return;
  }
  const { bottoms } = traceOf(line, line.lows, frame);
  const { tops } = traceOf(line, line.highs, frame);
  const path = new Path2D();
  for (const [column, top] of tops.entries()) {
    if (!Number.isNaN(top)) {
      path.moveTo(frame.left + column + 0.5, top);
      path.lineTo(frame.left + column + 0.5, bottoms[column]!);
    }
  }
  columns(context, path);
}

/** Strokes of one pixel each, none over another: what rasterizers are quickest at. */
function columns(context: CanvasRenderingContext2D, path: Path2D): void {
  context.lineWidth = 1;
  context.lineCap = 'butt';
  context.stroke(path);
}

function polyline({ times, values, gaps }: Line, frame: Frame): Path2D {
  const x = xOf(frame);
  const y = yOf(frame);
  const path = new Path2D();
  let gap = 0;
  for (let at = 0; at < times.length; at += 1) {
    const begins = at === 0 || gaps[gap] === at - 1;
    path[begins ? 'moveTo' : 'lineTo'](x(times[at]!), y(values[at]!));
    if (gaps[gap] === at - 1) {
      gap += 1;
    }
  }
  return path;
}

/** Whether a place in the period of dashes is one of them. */
function drawn(dash: readonly number[], place: number): boolean {
  let end = 0;
  for (const [index, length] of dash.entries()) {
    end += length;
    if (place < end) {
      return index % 2 === 0;
    }
  }
  return false;
}
