import uPlot from 'uplot';
import type { Format } from '../format/units.ts';
import { type Line, lineOf } from '../store/rate.ts';
import type { Series } from '../store/series.ts';
import { type Extent, extentOf } from './extent.ts';
import { type Frame, fillBand, fillLine, strokeLine, xOf, yOf } from './lines.ts';
import { type Look, strokeOf } from './palette.ts';
import { multiples, timeLabels, timeSplits } from './splits.ts';
import { type Trace, traceOf } from './trace.ts';

/** One line to draw. */
export interface Drawn {
  readonly series: Series;
  readonly colour: number;
  /** Drawn back, because another one is looked at. */
  readonly faded: boolean;
  /** Marked at its end, where the next point will be. */
  readonly headed: boolean;
}

const FADED = 0.18;
/** CSS pixels. */
const WIDTH = 1.5;
const AXIS_WIDTH_EM = 5.2;
const AXIS_HEIGHT_EM = 2;
/** A time with seconds. */
const LABEL_WIDTH_EM = 4.6;
/** The types know aligned data only; in mode 2 each line brings its own times. */
const NOTHING = [null, [[], []]] as unknown as uPlot.AlignedData;

/**
 * A chart of lines over time, each with its own times, on axes that stay where they are.
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
  private readonly filled: boolean;
  private extent: Extent | null = null;
  private drawn: readonly Drawn[] = [];
  private lines: Line[] = [];
  private traces: Trace[] = [];

  /** Fills `root` with `width` by `height` CSS pixels; `em` is the size of its text in them. */
  constructor(
    root: HTMLElement,
    options: {
      width: number;
      height: number;
      em: number;
      look: Look;
      format: Format;
      filled: boolean;
    },
  ) {
    this.look = options.look;
    this.format = options.format;
    this.filled = options.filled;
    this.em = options.em;
    const font = `${options.em}px ${getComputedStyle(root).fontFamily}`;
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
            size: options.em * AXIS_WIDTH_EM,
            splits: (_chart, _axis, min, max) =>
              multiples(min, max, this.extent?.step ?? max - min),
            values: (_chart, splits) => this.format.ticks(splits),
          },
        ],
        // It wants a line; those that there are, are drawn by `drawLines`.
        series: [{}, { show: true, paths: () => null, points: { show: false } }],
        hooks: { draw: [() => this.drawLines()] },
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
    this.drawn = drawn;
    this.lines = drawn.map(({ series }) => lineOf(series, from, to));
    const columns = Math.max(1, Math.ceil(this.chart.bbox.width));
    this.traces = this.lines.map((line) => traceOf(line, from, to, columns));
    const [low, high] = reach(this.traces);
    this.extent = extentOf(low, high, this.format, this.extent);
    const { min, max } = this.extent;
    this.chart.batch(() => {
      this.chart.setData(NOTHING, false);
      this.chart.setScale('x', { min: from, max: to });
      this.chart.setScale('y', { min, max });
    });
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

  /** Fills, bands, lines, points that no line reaches, and the heads of those that go on. */
  private drawLines(): void {
    const { ctx: context, bbox } = this.chart;
    const { min: from = 0, max: to = 1 } = this.chart.scales.x!;
    const { min, max } = this.extent ?? { min: 0, max: 1 };
    const frame: Frame = { ...bbox, from: from!, to: to!, min, max };
    const zero = Math.max(min, Math.min(0, max));
    context.save();
    context.beginPath();
    // Heads lie on the right edge: they get the room of the padding.
    const room = this.em * devicePixelRatio;
    context.rect(bbox.left, bbox.top - 8, bbox.width + room, bbox.height + 16);
    context.clip();
    for (const [index, line] of this.lines.entries()) {
      const { colour, faded } = this.drawn[index]!;
      const trace = this.traces[index]!;
      const { stroke, dash } = strokeOf(colour, this.look);
      context.strokeStyle = stroke;
      context.fillStyle = stroke;
      context.globalAlpha = faded ? 0.04 : 0.22;
      fillBand(context, trace, frame);
      context.globalAlpha = faded ? FADED : 1;
      if ((this.filled || this.drawn.length === 1) && line.times.length > 1) {
        context.globalAlpha *= 0.12;
        fillLine(context, trace, frame, zero);
        context.globalAlpha /= 0.12;
      }
      strokeLine(context, line, trace, frame, {
        width: WIDTH * devicePixelRatio,
        dash: dash.map((length) => length * devicePixelRatio),
      });
      this.drawDots(context, line, frame, this.drawn[index]!.headed);
    }
    context.restore();
  }

  private drawDots(
    context: CanvasRenderingContext2D,
    { times, values, gaps }: Line,
    frame: Frame,
    headed: boolean,
  ): void {
    const x = xOf(frame);
    const y = yOf(frame);
    const radius = 1.6 * devicePixelRatio;
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
}

/** The lowest and highest value that is passed; NaN if there is none. */
function reach(traces: readonly Trace[]): [number, number] {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const { lows, highs, floor, ceiling } of traces) {
    // What isn't passed is NaN, which is neither lower nor higher.
    for (const low of floor ?? lows) {
      if (low < lowest) {
        lowest = low;
      }
    }
    for (const high of ceiling ?? highs) {
      if (high > highest) {
        highest = high;
      }
    }
  }
  return lowest <= highest ? [lowest, highest] : [Number.NaN, Number.NaN];
}
