import { natural } from '../store/natural.ts';
import { lineOf } from '../store/rate.ts';
import type { Frame } from './lines.ts';
import type { Look } from './palette.ts';
import { type Drawn, type Picture, reachOf } from './picture.ts';
import { middlesOf, type Trace, traceOf } from './trace.ts';

/** CSS pixels that a cell is wide, about. */
const CELL = 5;
/** Steps of the scale: a cell is filled in one of them. */
const SHADES = 24;
/** The faintest: what is zero is still there, and what isn't there is not. */
const FAINTEST = 0.07;
/** The label whose values are the upper bounds of a histogram's buckets, each with those below it. */
const BOUND = 'le';

interface Row {
  readonly name: string;
  values: Float64Array;
}

/**
 * A row for each line, or for each value of a label, and the darker the higher. A cell is the
 * highest that its lines pass there. With the label `le` it is a histogram's: what falls into each
 * bucket, of all lines together.
 */
export class Heat implements Picture {
  rows: readonly string[] = [];
  private readonly by: string | undefined;
  private found: readonly Row[] = [];
  private begin = 0;
  private step = 1;

  constructor(by: string | undefined) {
    this.by = by;
  }

  take(drawn: readonly Drawn[], from: number, to: number, columns: number): void {
    const cells = Math.max(1, Math.round(columns / (CELL * devicePixelRatio)));
    this.step = (to - from) / cells;
    // Cells keep their times while the picture moves.
    this.begin = Math.floor(from / this.step) * this.step;
    const end = this.begin + (cells + 1) * this.step;
    const traces = drawn.map(({ series, title, raw }) => ({
      name: this.by === undefined ? title : (series.labels[this.by] ?? '–'),
      trace: traceOf(lineOf(series, this.begin, end, raw), this.begin, end, cells + 1),
    }));
    this.found = this.by === BOUND ? bucketsOf(traces) : hottestOf(traces);
    this.rows = this.found.map(({ name }) => name);
  }

  reach(): [number, number] {
    return reachOf(this.found.map(({ values }) => [values, values]));
  }

  at(row: number, time: number): number {
    return this.found[row]?.values[Math.floor((time - this.begin) / this.step)] ?? Number.NaN;
  }

  paint(
    context: CanvasRenderingContext2D,
    frame: Frame,
    look: Look,
    pixel: number,
    [low, high]: readonly [number, number],
  ): void {
    const height = frame.height / Math.max(1, this.found.length);
    const perMs = frame.width / (frame.to - frame.from);
    const gap = height > 6 * pixel ? pixel : 0;
    const shades = Array.from({ length: SHADES + 1 }, () => new Path2D());
    for (const [row, { values }] of this.found.entries()) {
      const top = frame.top + row * height;
      for (const [cell, value] of values.entries()) {
        if (!Number.isNaN(value)) {
          const left = frame.left + (this.begin + cell * this.step - frame.from) * perMs;
          const begin = Math.max(frame.left, Math.round(left));
          const end = Math.min(frame.left + frame.width, Math.round(left + this.step * perMs));
          const share = high > low ? (value - low) / (high - low) : 1;
          const shade = shades[Math.round(Math.max(0, Math.min(1, share)) * SHADES)]!;
          if (end > begin) {
            shade.rect(begin, top, end - begin, Math.max(1, height - gap));
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

/** What lines of one name have together, cell by cell; where one has nothing the others count. */
function gather(
  traces: readonly Named[],
  cellsOf: (trace: Trace) => Float64Array,
  join: (a: number, b: number) => number,
): Row[] {
  const rows = new Map<string, Row>();
  for (const { name, trace } of traces) {
    const cells = cellsOf(trace);
    const row = rows.get(name);
    if (row === undefined) {
      rows.set(name, { name, values: cells });
    } else {
      row.values = row.values.map((value, cell) => {
        const more = cells[cell]!;
        return Number.isNaN(value) ? more : Number.isNaN(more) ? value : join(value, more);
      });
    }
  }
  return [...rows.values()];
}

/** Of each name the highest that any of its lines passes. */
function hottestOf(traces: readonly Named[]): Row[] {
  return gather(traces, ({ ceiling, highs }) => ceiling ?? highs, Math.max).sort((a, b) =>
    natural(a.name, b.name),
  );
}

/** What falls into each bucket: a bound counts what the bounds below it count as well. */
export function bucketsOf(traces: readonly Named[]): Row[] {
  const bounds = gather(traces, middlesOf, (a, b) => a + b).sort(
    (a, b) => boundOf(a.name) - boundOf(b.name),
  );
  return bounds
    .map(({ name, values }, index) => {
      const below = bounds[index - 1]?.values;
      return {
        name,
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
