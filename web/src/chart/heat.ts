import { natural } from '../format/natural.ts';
import { type Line, lineOf } from '../store/rate.ts';
import type { Frame } from './lines.ts';
import type { Look } from './palette.ts';
import { type Drawn, type Picture, reachOf } from './picture.ts';
import { middlesOf, type Trace, traceOf } from './trace.ts';

/** Width of a cell in CSS pixels, approximately. */
const CELL = 5;
/** The number of shades of the scale. */
const SHADES = 24;
/** The opacity of the faintest shade: a cell with the value zero can be told from an empty one. */
const FAINTEST = 0.07;
/** The label whose values are the upper bounds of a histogram's buckets. Buckets are cumulative. */
const BOUND = 'le';

/** The part of a cell's height, at its top, that shows the highest value. */
const EDGE = 0.25;

interface Row {
  readonly name: string;
  /** What the cells stand for: the mean, or the count of a bucket. */
  values: Float64Array;
  /** The highest value in each cell; null where a cell has only one value. */
  highest: Float64Array | null;
}

/**
 * A heatmap: a row for each line, or for each value of a label; higher values are darker. A cell
 * shows the mean of its lines, and the highest value along its upper edge, so that a spike is seen
 * but does not colour the whole cell. With the label `le` the rows are the buckets of a histogram,
 * summed over all lines.
 */
export class Heat implements Picture {
  rows: readonly string[] = [];
  readonly #by: string | undefined;
  #found: readonly Row[] = [];
  #begin = 0;
  #step = 1;

  constructor(by: string | undefined) {
    this.#by = by;
  }

  take(drawn: readonly Drawn[], from: number, to: number, columns: number): void {
    const cells = Math.max(1, Math.round(columns / (CELL * devicePixelRatio)));
    this.#step = (to - from) / cells;
    // Cells are aligned to time, so that they keep their values while the picture moves.
    this.#begin = Math.floor(from / this.#step) * this.#step;
    const end = this.#begin + (cells + 1) * this.#step;
    const traces = drawn.map(({ series, title, raw }) => {
      const line = lineOf(series, this.#begin, end, raw);
      const trace = traceOf(line, this.#begin, end, cells + 1);
      return {
        name: this.#by === undefined ? title : (series.labels[this.#by] ?? '–'),
        trace,
        means: meansOf(line, trace, this.#begin, this.#step),
      };
    });
    this.#found = this.#by === BOUND ? bucketsOf(traces) : meanRowsOf(traces);
    this.rows = this.#found.map(({ name }) => name);
  }

  reach(): [number, number] {
    return reachOf(this.#found.map(({ values, highest }) => [values, highest ?? values]));
  }

  at(row: number, time: number): number {
    return this.#found[row]?.values[Math.floor((time - this.#begin) / this.#step)] ?? Number.NaN;
  }

  paint(
    context: CanvasRenderingContext2D,
    frame: Frame,
    look: Look,
    pixel: number,
    [low, high]: readonly [number, number],
  ): void {
    const height = frame.height / Math.max(1, this.#found.length);
    const perMs = frame.width / (frame.to - frame.from);
    const gap = height > 6 * pixel ? pixel : 0;
    const shades = Array.from({ length: SHADES + 1 }, () => new Path2D());
    const shadeOf = (value: number): Path2D => {
      const share = high > low ? (value - low) / (high - low) : 1;
      return shades[Math.round(Math.max(0, Math.min(1, share)) * SHADES)]!;
    };
    for (const [row, { values, highest }] of this.#found.entries()) {
      const top = frame.top + row * height;
      const tall = Math.max(1, height - gap);
      const edge = highest === null ? 0 : Math.max(pixel, Math.round(tall * EDGE));
      for (const [cell, value] of values.entries()) {
        if (!Number.isNaN(value)) {
          const left = frame.left + (this.#begin + cell * this.#step - frame.from) * perMs;
          const begin = Math.max(frame.left, Math.round(left));
          const end = Math.min(frame.left + frame.width, Math.round(left + this.#step * perMs));
          if (end > begin) {
            shadeOf(value).rect(begin, top + edge, end - begin, Math.max(1, tall - edge));
            if (edge > 0) {
              shadeOf(highest![cell]!).rect(begin, top, end - begin, edge);
            }
          }
        }
      }
    }
    context.fillStyle = look.lines[0]!;
    for (const [shade, path] of shades.entries()) {
      context.globalAlpha = FAINTEST + ((1 - FAINTEST) * shade) / SHADES;
      context.fill(path);
    }
  }
}

interface Named {
  readonly name: string;
  readonly trace: Trace;
}

interface Meant extends Named {
  readonly means: Float64Array;
}

/**
 * The mean of a line's points in each cell. Where a cell has no point: the middle of what the line
 * crosses there.
 */
export function meansOf(
  { times, values }: Line,
  trace: Trace,
  begin: number,
  step: number,
): Float64Array {
  const means = middlesOf(trace);
  const counts = new Float64Array(means.length);
  for (let at = 0; at < times.length; at += 1) {
    const cell = Math.floor((times[at]! - begin) / step);
    if (cell >= 0 && cell < means.length) {
      counts[cell]! += 1;
      means[cell] =
        counts[cell] === 1
          ? values[at]!
          : means[cell]! + (values[at]! - means[cell]!) / counts[cell]!;
    }
  }
  return means;
}

/**
 * Combine the lines of each name cell by cell. Lines without a value in a cell are left out there.
 */
function gather<Line extends Named>(
  lines: readonly Line[],
  cellsOf: (line: Line) => Float64Array,
  join: (sum: number, next: number) => number,
): Map<string, Float64Array> {
  const rows = new Map<string, Float64Array>();
  for (const line of lines) {
    const cells = cellsOf(line);
    const row = rows.get(line.name);
    rows.set(
      line.name,
      row?.map((value, cell) => {
        const more = cells[cell]!;
        return Number.isNaN(value) ? more : Number.isNaN(more) ? value : join(value, more);
      }) ?? cells.slice(),
    );
  }
  return rows;
}

/** For each name, the mean of its lines and the highest value of any of them. */
export function meanRowsOf(lines: readonly Meant[]): Row[] {
  const add = (a: number, b: number): number => a + b;
  const sums = gather(lines, ({ means }) => means, add);
  const counts = gather(
    lines,
    ({ means }) => means.map((mean) => (Number.isNaN(mean) ? mean : 1)),
    add,
  );
  const highest = gather(lines, ({ trace: { ceiling, highs } }) => ceiling ?? highs, Math.max);
  return [...sums]
    .map(([name, sum]) => ({
      name,
      values: sum.map((value, cell) => value / counts.get(name)![cell]!),
      highest: highest.get(name)!,
    }))
    .sort((a, b) => natural(a.name, b.name));
}

/** Turn cumulative buckets into the count of each bucket alone. */
export function bucketsOf(traces: readonly Named[]): Row[] {
  const sums = gather(
    traces,
    ({ trace }) => middlesOf(trace),
    (a, b) => a + b,
  );
  const bounds = [...sums]
    .map(([name, values]) => ({ name, values }))
    .sort((a, b) => boundOf(a.name) - boundOf(b.name));
  return bounds
    .map(({ name, values }, index) => {
      const below = bounds[index - 1]?.values;
      return {
        name,
        highest: null,
        values: values.map((value, cell) => {
          const less = below?.[cell] ?? 0;
          return Math.max(0, value - (Number.isNaN(less) ? 0 : less));
        }),
      };
    })
    .reverse();
}

function boundOf(name: string): number {
  return name === '+Inf' ? Number.POSITIVE_INFINITY : Number(name);
}
