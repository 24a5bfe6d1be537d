import { type Format, formatOf } from '../format/units.ts';
import { lineOf } from '../store/rate.ts';
import { type Frame, fillColumns, yOf } from './lines.ts';
import { type Look, strokeOf } from './palette.ts';
import { type Drawn, type Picture, reachOf } from './picture.ts';
import { middlesOf, traceOf } from './trace.ts';

/** One area of a stack: its lower and upper edge in each column of pixels. */
export interface Layer {
  readonly bottoms: Float64Array;
  readonly tops: Float64Array;
}

/**
 * Areas stacked on each other, so that the top is their sum. Negative values are stacked downwards
 * from zero.
 */
export class Stack implements Picture {
  readonly rows = null;
  #drawn: readonly Drawn[] = [];
  #layers: Layer[] = [];
  readonly #percent: boolean;

  /** `percent` says whether the areas are shares of their sum. */
  constructor(percent = false) {
    this.#percent = percent;
  }

  take(drawn: readonly Drawn[], from: number, to: number, columns: number): void {
    this.#drawn = drawn;
    const values = drawn.map((one) => valuesOf(one, from, to, columns));
    this.#layers = pile(this.#percent ? sharesOf(values) : values);
  }

  reach(): [number, number] {
    const [low, high] = reachOf(
      this.#layers.map(({ bottoms, tops }) => [
        bottoms.map((bottom, column) => Math.min(bottom, tops[column]!)),
        bottoms.map((bottom, column) => Math.max(bottom, tops[column]!)),
      ]),
    );
    // The height of an area shows its value only if the axis includes zero.
    return [Math.min(low, 0), Math.max(high, 0)];
  }

  scaled(format: Format): Format {
    return this.#percent ? formatOf('percent') : format;
  }

  paint(context: CanvasRenderingContext2D, frame: Frame, look: Look, pixel: number): void {
    const y = yOf(frame);
    for (const [index, { bottoms, tops }] of this.#layers.entries()) {
      const { colour, faded } = this.#drawn[index]!;
      context.strokeStyle = strokeOf(colour, look).stroke;
      context.globalAlpha = faded ? 0.12 : 0.45;
      const bottom = (column: number): number => y(bottoms[column]!);
      const top = (column: number): number => y(tops[column]!);
      fillColumns(context, frame, tops, top, bottom);
      context.globalAlpha = faded ? 0.18 : 1;
      fillColumns(context, frame, tops, top, (column) => {
        // Extend the edge to the next column's, so that a step leaves no hole.
        const next = column + 1 < tops.length ? y(tops[column + 1]!) : Number.NaN;
        const here = top(column);
        const reached = Number.isNaN(next) ? here : next;
        return Math.abs(reached - here) < 1.5 * pixel ? here + 1.5 * pixel : reached;
      });
    }
  }
}

/** Percent of the sum in each column, of values without their signs. */
export function sharesOf(lines: readonly Float64Array[]): Float64Array[] {
  const sums = new Float64Array(lines[0]?.length ?? 0);
  for (const values of lines) {
    for (const [column, value] of values.entries()) {
      sums[column]! += Number.isNaN(value) ? 0 : Math.abs(value);
    }
  }
  return lines.map((values) =>
    values.map((value, column) => (sums[column] === 0 ? 0 * value : (value / sums[column]!) * 100)),
  );
}

/**
 * Stack lines in this order. A line without a value adds nothing in that column; where no line has
 * one, there is no area.
 */
export function pile(lines: readonly Float64Array[]): Layer[] {
  const columns = lines[0]?.length ?? 0;
  const above = new Float64Array(columns);
  const below = new Float64Array(columns);
  return lines.map((values) => {
    const bottoms = new Float64Array(columns).fill(Number.NaN);
    const tops = new Float64Array(columns).fill(Number.NaN);
    for (let column = 0; column < columns; column += 1) {
      const value = values[column]!;
      if (!Number.isNaN(value)) {
        const ends = value < 0 ? below : above;
        bottoms[column] = ends[column]!;
        ends[column]! += value;
        tops[column] = ends[column]!;
      }
    }
    return { bottoms, tops };
  });
}

/**
 * A line's value in each column: halfway between the lowest and highest that it passes there. The
 * lines of a stack have points at different times. So each value is held until its line's next
 * point is late; else the newest sum would be the sum of only those lines that already have a
 * point.
 */
function valuesOf({ series, raw }: Drawn, from: number, to: number, columns: number): Float64Array {
  const line = lineOf(series, from, to, raw);
  const values = middlesOf(traceOf(line, from, to, columns));
  const last = line.times.at(-1);
  if (last !== undefined && !series.gone) {
    const width = (to - from) / columns;
    const held = line.values.at(-1)!;
    for (
      let column = Math.max(0, Math.floor((last - from) / width));
      column < columns;
      column += 1
    ) {
      const time = from + column * width;
      if (time > last && series.isGap(last, time)) {
        break;
      }
      if (Number.isNaN(values[column]!)) {
        values[column] = held;
      }
    }
  }
  return values;
}
