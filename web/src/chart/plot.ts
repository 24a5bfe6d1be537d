import uPlot from 'uplot';
import type { Format } from '../format/units.ts';
import { type Extent, extentOf } from './extent.ts';
import type { Look } from './palette.ts';
import type { Drawn, Picture } from './picture.ts';
import { multiples, timeLabels, timeSplits } from './splits.ts';

/** CSS pixels, in lengths of an em. */
const AXIS_WIDTH_EM = 5.2;
/** Of an axis that has the names of rows. */
const LEAST_ROWS_WIDTH_EM = 3;
const LETTER_EM = 0.58;
const ROW_LETTERS = 16;
const LEAST_ROW_EM = 1.1;
const AXIS_HEIGHT_EM = 2;
/** A time with seconds. */
const LABEL_WIDTH_EM = 4.6;
/** The types know aligned data only; in mode 2 each line brings its own times. */
const NOTHING = [null, [[], []]] as unknown as uPlot.AlignedData;

/**
 * A picture of lines over time, each with its own times, on axes that stay where they are.
 *
 * uPlot has the axes and the scales. Nothing happens but by `draw`.
 */
export class Plot {
  /** The area of the lines, without the axes: what a pointer moves over. */
  readonly over: HTMLElement;

  private readonly chart: uPlot;
  private readonly em: number;
  private look: Look;
  private format: Format;
  private readonly picture: Picture;
  private extent: Extent | null = null;

  /** Fills `root` with `width` by `height` CSS pixels; `em` is the size of its text in them,
   * of a font `family`. */
  constructor(
    root: HTMLElement,
    options: {
      width: number;
      height: number;
      em: number;
      family: string;
      look: Look;
      format: Format;
      picture: Picture;
    },
  ) {
    this.look = options.look;
    this.format = options.format;
    this.picture = options.picture;
    this.em = options.em;
    const font = `${options.em}px ${options.family}`;
    const axis: uPlot.Axis = {
      font,
      stroke: () => this.look.text,
      grid: { stroke: () => this.look.grid, width: 1 },
      ticks: { show: false },
      gap: options.em * 0.6,
    };
    this.chart = new uPlot(
      {
        mode: 2,
        width: options.width,
        height: options.height,
        padding: [options.em * 0.6, options.em * 0.6, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        // Times are plain numbers to it: the grid is ours.
        scales: {
          x: { time: false, auto: false, range: (_chart, min, max) => [min, max] },
          y: { auto: false, range: (_chart, min, max) => [min, max] },
        },
        axes: [
          {
            ...axis,
            size: options.em * AXIS_HEIGHT_EM,
            splits: (chart, _axis, min, max) =>
              timeSplits(
                min,
                max,
                Math.max(2, chart.bbox.width / devicePixelRatio / (this.em * 1.6 * LABEL_WIDTH_EM)),
              ),
            values: (chart, splits) => {
              // A label that would be cut off at the right edge says nothing.
              const room = chart.bbox.width / devicePixelRatio - this.em * (LABEL_WIDTH_EM / 2);
              return timeLabels(splits).map((label, index) =>
                chart.valToPos(splits[index]!, 'x') > room ? '' : label,
              );
            },
          },
          {
            ...axis,
            size: () => options.em * this.axisWidth(),
            grid: { ...axis.grid, show: this.picture.rows === null },
            splits: (_chart, _axis, min, max) =>
              this.picture.rows === null
                ? multiples(min, max, this.extent?.step ?? max - min)
                : this.picture.rows.map((_, row) => rowPlace(row, this.picture.rows!.length)),
            values: (chart, splits) =>
              this.picture.rows === null
                ? this.format.ticks(splits)
                : this.rowNames(chart.bbox.height / devicePixelRatio),
          },
        ],
        // It wants a line; what there is, is drawn by `paint`.
        series: [{}, { show: true, paths: () => null, points: { show: false } }],
        hooks: { draw: [() => this.paint()] },
      },
      NOTHING,
      root,
    );
    this.over = this.chart.over;
  }

  resize(width: number, height: number): void {
    this.chart.setSize({ width, height });
  }

  /** Draw these lines from one time to another (Unix milliseconds). */
  draw(drawn: readonly Drawn[], from: number, to: number, look: Look): void {
    this.look = look;
    this.picture.take(drawn, from, to, Math.max(1, Math.ceil(this.chart.bbox.width)));
    const [low, high] = this.picture.reach();
    this.extent = extentOf(low, high, this.format, this.extent);
    const { min, max } = this.picture.rows === null ? this.extent : { min: 0, max: 1 };
    this.chart.batch(() => {
      this.chart.setData(NOTHING, false);
      this.chart.setScale('x', { min: from, max: to });
      this.chart.setScale('y', { min, max });
    });
  }

  /** From the least to the most that the axis, or the darkest shade, stands for. */
  get span(): readonly [number, number] {
    return [this.extent?.min ?? Number.NaN, this.extent?.max ?? Number.NaN];
  }

  /** The row that is so many CSS pixels from the top of `over`, and its value at a time. */
  row(top: number, time: number): { readonly name: string; readonly value: number } | null {
    const { rows } = this.picture;
    const row = Math.floor((top / this.over.clientHeight) * (rows?.length ?? 0));
    const name = rows?.[row];
    return name === undefined ? null : { name, value: this.picture.at!(row, time) };
  }

  /** CSS pixels that `over` is wide, without asking the document. */
  get width(): number {
    return this.chart.bbox.width / devicePixelRatio;
  }

  /** CSS pixels from the left of `over` to a time. */
  left(time: number): number {
    return this.chart.valToPos(time, 'x');
  }

  /** The time that is so many CSS pixels from the left of `over`. */
  time(left: number): number {
    return this.chart.posToVal(left, 'x');
  }

  destroy(): void {
    this.chart.destroy();
  }

  private paint(): void {
    const { ctx: context, bbox } = this.chart;
    const { min: from = 0, max: to = 1 } = this.chart.scales.x!;
    const { min, max } = this.extent ?? { min: 0, max: 1 };
    context.save();
    context.beginPath();
    // Heads lie on the right edge: they get the room of the padding.
    const room = this.em * devicePixelRatio;
    context.rect(bbox.left, bbox.top - 8, bbox.width + room, bbox.height + 16);
    context.clip();
    this.picture.paint(
      context,
      { ...bbox, from: from!, to: to!, min, max },
      this.look,
      devicePixelRatio,
      [min, max],
    );
    context.restore();
  }

  private axisWidth(): number {
    const { rows } = this.picture;
    const letters = Math.max(...(rows ?? []).map(({ length }) => length));
    return rows === null
      ? AXIS_WIDTH_EM
      : Math.max(LEAST_ROWS_WIDTH_EM, Math.min(letters, ROW_LETTERS) * LETTER_EM + 1);
  }

  /** As many names as there is room for, each no longer than the axis is wide. */
  private rowNames(height: number): string[] {
    const rows = this.picture.rows!;
    const every = Math.max(1, Math.ceil((rows.length * this.em * LEAST_ROW_EM) / height));
    return rows.map((name, row) =>
      row % every > 0
        ? ''
        : name.length > ROW_LETTERS
          ? `${name.slice(0, ROW_LETTERS - 1)}…`
          : name,
    );
  }
}

/** Where the middle of a row is on an axis from 0 at the bottom to 1 at the top. */
function rowPlace(row: number, rows: number): number {
  return 1 - (row + 0.5) / rows;
}
