import uPlot from 'uplot';
import type { Format } from '../format/units.ts';
import { type Line, lineOf } from '../store/rate.ts';
import type { Series } from '../store/series.ts';
import { type Extent, extentOf } from './extent.ts';
import { type Look, strokeOf } from './palette.ts';
import { multiples, timeLabels, timeSplits } from './splits.ts';

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
const AXIS_WIDTH_EM = 5.2;
const AXIS_HEIGHT_EM = 2;
/** A time with seconds. */
const LABEL_WIDTH_EM = 4.6;

/**
 * A chart of lines over time, each with its own times, on axes that stay where they are.
 *
 * uPlot draws; what it is given are views of the columns. Nothing happens but by `draw`.
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
        scales: { x: { time: false, auto: false }, y: { auto: false } },
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
        // It looks at the first line for the scales: that one is always there.
        series: [{}, this.slot(1)],
        hooks: { drawAxes: [() => this.drawBands()], draw: [() => this.drawDots()] },
      },
      // The types know aligned data only; in mode 2 each line brings its own times.
      [null, [[], []]] as unknown as uPlot.AlignedData,
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
    while (this.chart.series.length <= drawn.length) {
      const slot = this.chart.series.length;
      this.chart.addSeries(this.slot(slot), slot);
    }
    const [low, high] = reach(this.lines, from, to);
    this.extent = extentOf(low, high, this.format, this.extent);
    const data: unknown[] = [null];
    for (let slot = 1; slot < this.chart.series.length; slot += 1) {
      const one = drawn[slot - 1];
      const line = this.lines[slot - 1];
      const series = this.chart.series[slot]!;
      series.show = one !== undefined;
      series.alpha = one?.faded ? FADED : 1;
      if (one !== undefined) {
        series.dash = [...strokeOf(one.colour, look).dash];
      }
      data.push(line === undefined ? [[], []] : [line.times, line.values]);
    }
    const { min, max } = this.extent;
    this.chart.batch(() => {
      this.chart.setData(data as uPlot.AlignedData, false);
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

  /** Room for one line; which one it is changes from one drawing to the next. */
  private slot(slot: number): uPlot.Series {
    return {
      width: 1.5,
      stroke: () => this.stroke(slot - 1),
      fill: () =>
        this.filled || this.drawn.length === 1 ? `${this.stroke(slot - 1)}1f` : 'transparent',
      fillTo: () => Math.max(this.extent?.min ?? 0, Math.min(0, this.extent?.max ?? 0)),
      points: { show: false, filter: () => null },
      gaps: (chart) => {
        const { times = [], gaps = [] } = this.lines[slot - 1] ?? {};
        return gaps.map((index) => [
          chart.valToPos(times[index]!, 'x', true),
          chart.valToPos(times[index + 1]!, 'x', true),
        ]);
      },
    };
  }

  private stroke(index: number): string {
    return strokeOf(this.drawn[index]?.colour ?? 0, this.look).stroke;
  }

  /** The lowest and highest of merged points, behind the lines. */
  private drawBands(): void {
    for (const [index, { times, lows, highs, gaps }] of this.lines.entries()) {
      if (lows === null || highs === null) {
        continue;
      }
      const broken = new Set(gaps);
      this.clipped((context, x, y) => {
        context.fillStyle = this.stroke(index);
        context.globalAlpha = this.drawn[index]!.faded ? 0.04 : 0.22;
        context.beginPath();
        for (let start = 0; start < times.length; ) {
          let end = start;
          while (end + 1 < times.length && !broken.has(end)) {
            end += 1;
          }
          for (let at = start; at <= end; at += 1) {
            context[at === start ? 'moveTo' : 'lineTo'](x(times[at]!), y(highs[at]!));
          }
          for (let at = end; at >= start; at -= 1) {
            context.lineTo(x(times[at]!), y(lows[at]!));
          }
          start = end + 1;
        }
        context.fill();
      });
    }
  }

  /** Points that no line reaches, and the heads of those that go on. */
  private drawDots(): void {
    const radius = 1.6 * devicePixelRatio;
    this.clipped((context, x, y) => {
      for (const [index, { times, values, gaps }] of this.lines.entries()) {
        const { faded, headed } = this.drawn[index]!;
        const dot = (at: number, size: number): void => {
          context.beginPath();
          context.arc(x(times[at]!), y(values[at]!), size, 0, 2 * Math.PI);
          context.fill();
        };
        context.fillStyle = this.stroke(index);
        context.globalAlpha = faded ? FADED : 1;
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
    });
  }

  private clipped(
    paint: (
      context: CanvasRenderingContext2D,
      x: (time: number) => number,
      y: (value: number) => number,
    ) => void,
  ): void {
    const { ctx: context, bbox } = this.chart;
    context.save();
    context.beginPath();
    // Heads lie on the right edge: they get the room of the padding.
    context.rect(
      bbox.left,
      bbox.top - 8,
      bbox.width + this.em * devicePixelRatio,
      bbox.height + 16,
    );
    context.clip();
    paint(
      context,
      (time) => this.chart.valToPos(time, 'x', true),
      (value) => this.chart.valToPos(value, 'y', true),
    );
    context.restore();
  }
}

/** The lowest and highest value within a span of time; NaN if there is none. */
function reach(lines: readonly Line[], from: number, to: number): [number, number] {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const { times, values, lows, highs } of lines) {
    for (let at = 0; at < times.length; at += 1) {
      if (times[at]! >= from && times[at]! <= to) {
        lowest = Math.min(lowest, (lows ?? values)[at]!);
        highest = Math.max(highest, (highs ?? values)[at]!);
      }
    }
  }
  return lowest <= highest ? [lowest, highest] : [Number.NaN, Number.NaN];
}
