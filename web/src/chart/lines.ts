/**
 * Lines on a canvas, drawn by columns of pixels.
 *
 * A line with more points than pixels is drawn as vertical strokes, one for each column, from the
 * lowest to the highest value in it. The picture is the same as the polyline's, for a hundredth of
 * the work of a rasterizer, which is slow with jagged paths (see `python -m tests.bench soak`).
 */

import type { Line } from '../store/rate.ts';
import type { Trace } from './trace.ts';

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
  /** Lengths of dashes and of the spaces between them, in canvas pixels. */
  readonly dash: readonly number[];
}

/** A line with fewer points per column than this is drawn as a polyline. */
export const DENSE = 1 / 3;

/** Gives the place of a time, in canvas pixels. */
export function xOf({ left, width, from, to }: Frame): (time: number) => number {
  const scale = width / (to - from);
  return (time) => left + (time - from) * scale;
}

/** Gives the place of a value, in canvas pixels. */
export function yOf({ top, height, min, max }: Frame): (value: number) => number {
  const scale = height / (max - min);
  return (value) => top + (max - value) * scale;
}

/** Draw a line with the stroke style and alpha of the context, or what of it is dense from a column on. */
export function strokeLine(
  context: CanvasRenderingContext2D,
  line: Line,
  { lows, highs }: Trace,
  frame: Frame,
  { width, dash }: Stroke,
  first = 0,
): void {
  if (first === 0 && line.times.length < frame.width * DENSE) {
    context.lineWidth = width;
    context.lineJoin = 'bevel';
    context.setLineDash([...dash]);
    context.stroke(polyline(line, frame));
    context.setLineDash([]);
    return;
  }
  // Dashes are measured along the time axis, so that they stay visible on steep lines.
  const period = dash.reduce((sum, length) => sum + length, 0);
  const shown = (column: number): boolean => period === 0 || drawn(dash, column % period);
  const half = width / 2;
  const y = yOf(frame);
  fillColumns(
    context,
    frame,
    highs,
    (column) => (shown(column) ? y(highs[column]!) - half : Number.NaN),
    (column) => y(lows[column]!) + half,
    first,
  );
}

/** Fill the area between a line and a value, with the stroke style. */
export function fillLine(
  context: CanvasRenderingContext2D,
  { highs }: Trace,
  frame: Frame,
  to: number,
  first = 0,
): void {
  const y = yOf(frame);
  const floor = y(to);
  fillColumns(
    context,
    frame,
    highs,
    (column) => y(highs[column]!),
    () => floor,
    first,
  );
}

/** Fill the band between the lowest and highest samples that a line's points stand for. */
export function fillBand(
  context: CanvasRenderingContext2D,
  { floor, ceiling }: Trace,
  frame: Frame,
  first = 0,
): void {
  if (floor !== null && ceiling !== null) {
    const y = yOf(frame);
    fillColumns(
      context,
      frame,
      ceiling,
      (column) => y(ceiling[column]!),
      (column) => y(floor[column]!),
      first,
    );
  }
}

/** Draw strokes of one pixel each that don't overlap, which rasterizers do fastest. */
export function fillColumns(
  context: CanvasRenderingContext2D,
  { left }: Frame,
  present: Float64Array,
  top: (column: number) => number,
  bottom: (column: number) => number,
  first = 0,
): void {
  const path = new Path2D();
  for (let column = first; column < present.length; column += 1) {
    const begin = Number.isNaN(present[column]) ? Number.NaN : top(column);
    if (!Number.isNaN(begin)) {
      path.moveTo(left + column + 0.5, begin);
      path.lineTo(left + column + 0.5, bottom(column));
    }
  }
  context.lineWidth = 1;
  context.lineCap = 'butt';
  context.stroke(path);
}

function polyline({ times, values, gaps }: Line, frame: Frame): Path2D {
  const x = xOf(frame);
  const y = yOf(frame);
  const breaks = new Set(gaps);
  const path = new Path2D();
  for (let at = 0; at < times.length; at += 1) {
    const begins = at === 0 || breaks.has(at - 1);
    path[begins ? 'moveTo' : 'lineTo'](x(times[at]!), y(values[at]!));
  }
  return path;
}

/** Whether this place in the dash pattern is within a dash. */
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
