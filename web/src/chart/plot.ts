import type { Format } from '../format/units.ts';
import { type Extent, extentOf } from './extent.ts';
import type { Frame } from './lines.ts';
import type { Look } from './palette.ts';
import type { Drawn, Picture } from './picture.ts';
import { multiples, timeLabels, timeSplits } from './splits.ts';

/** Lengths of an em. */
const AXIS_WIDTH_EM = 5.2;
/** Of an axis that has the names of rows. */
const LEAST_ROWS_WIDTH_EM = 3;
const LETTER_EM = 0.58;
const ROW_LETTERS = 16;
const LEAST_ROW_EM = 1.1;
const AXIS_HEIGHT_EM = 2;
/** Between a label and the area of the lines, and around that where there is no axis. */
const GAP_EM = 0.6;
/** A time with seconds. */
const LABEL_WIDTH_EM = 4.6;

export interface PlotOptions {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  /** CSS pixels of its text's size, and its font. */
  readonly em: number;
  readonly family: string;
  readonly look: Look;
  readonly format: Format;
  readonly picture: Picture;
}

/**
 * A picture of lines over time, each with its own times, on axes that stay where they are.
 *
 * All that is drawn lies on whole pixels of the device, letters too, whatever the browser's zoom and
 * the root's font make of an em. Nothing happens but by `draw`.
 */
export class Plot {
  /** The area of the lines, without the axes: what a pointer moves over. */
  readonly over = document.createElement('div');

  private readonly canvas = document.createElement('canvas');
  private readonly context = this.canvas.getContext('2d')!;
  private readonly em: number;
  private readonly family: string;
  private look: Look;
  private readonly format: Format;
  private readonly picture: Picture;
  private extent: Extent | null = null;
  private cssWidth: number;
  private cssHeight: number;
  /** Where the lines are, in canvas pixels, and from when to when. */
  private frame: Frame;

  constructor(root: HTMLElement, options: PlotOptions) {
    this.look = options.look;
    this.format = options.format;
    this.picture = options.picture;
    this.em = options.em;
    this.family = options.family;
    this.cssWidth = options.width;
    this.cssHeight = options.height;
    this.frame = this.place(0, 1);
    this.over.className = 'over';
    root.append(this.canvas, this.over);
  }

  /** In CSS pixels. What is drawn next fills it. */
  resize(width: number, height: number): void {
    this.cssWidth = width;
    this.cssHeight = height;
  }

  /** Draw these lines from one time to another (Unix milliseconds). */
  draw(drawn: readonly Drawn[], from: number, to: number, look: Look): void {
    this.look = look;
    this.frame = this.place(from, to);
    this.picture.take(drawn, from, to, Math.max(1, this.frame.width));
    const [low, high] = this.picture.reach();
    this.extent = extentOf(low, high, this.format, this.extent);
    // The names of rows, which may be new, say how wide their axis is.
    this.frame = this.place(from, to);
    this.fit();
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.paintAxes();
    this.paintPicture();
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
    return this.frame.width / devicePixelRatio;
  }

  /** CSS pixels from the left of `over` to a time. */
  left(time: number): number {
    const { from, to } = this.frame;
    return ((time - from) / (to - from)) * this.width;
  }

  /** The time that is so many CSS pixels from the left of `over`. */
  time(left: number): number {
    const { from, to } = this.frame;
    return from + (left / this.width) * (to - from);
  }

  destroy(): void {
    this.canvas.remove();
    this.over.remove();
  }

  /** Canvas pixels of an em: whole, since letters of a part of one are blurred. */
  private get letter(): number {
    return Math.max(1, Math.round(this.em * devicePixelRatio));
  }

  private place(from: number, to: number): Frame {
    const { letter } = this;
    const gap = Math.round(letter * GAP_EM);
    const left = Math.round(letter * this.axisWidth());
    const width = Math.round(this.cssWidth * devicePixelRatio) - left - gap;
    const bottom = Math.round(letter * AXIS_HEIGHT_EM);
    const height = Math.round(this.cssHeight * devicePixelRatio) - gap - bottom;
    const { min, max } = this.extent ?? { min: 0, max: 1 };
    return {
      left,
      top: gap,
      width: Math.max(1, width),
      height: Math.max(1, height),
      from,
      to,
      min,
      max,
    };
  }

  /** Have the canvas and what lies over it as large as they are to be. */
  private fit(): void {
    const { canvas, over, frame } = this;
    const width = Math.max(1, Math.round(this.cssWidth * devicePixelRatio));
    const height = Math.max(1, Math.round(this.cssHeight * devicePixelRatio));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const css = (pixels: number): string => `${pixels / devicePixelRatio}px`;
    const places: readonly (readonly [HTMLElement, string, string])[] = [
      [canvas, 'width', css(width)],
      [canvas, 'height', css(height)],
      [over, 'left', css(frame.left)],
      [over, 'top', css(frame.top)],
      [over, 'width', css(frame.width)],
      [over, 'height', css(frame.height)],
    ];
    for (const [element, property, value] of places) {
      // Written where it changes: each writing has the page laid out again.
      if (element.style.getPropertyValue(property) !== value) {
        element.style.setProperty(property, value);
      }
    }
  }

  private paintAxes(): void {
    const { context, frame, letter, look } = this;
    const { left, top, width, height, from, to, min, max } = frame;
    const { rows } = this.picture;
    const gap = letter * GAP_EM;
    const thin = Math.max(1, Math.round(devicePixelRatio));
    context.font = `${letter}px ${this.family}`;
    context.lineWidth = thin;
    context.strokeStyle = look.grid;
    context.fillStyle = look.text;
    // A stroke of an odd width is sharp between two pixels.
    const sharp = (place: number): number => Math.round(place) + (thin % 2) / 2;

    const times = timeSplits(from, to, Math.max(2, width / (letter * 1.6 * LABEL_WIDTH_EM)));
    const labels = timeLabels(times);
    const values = rows === null ? multiples(min, max, this.extent?.step ?? max - min) : [];
    const x = (time: number): number => left + ((time - from) / (to - from)) * width;
    const y = (value: number): number => top + ((max - value) / (max - min)) * height;
    context.beginPath();
    for (const time of times) {
      context.moveTo(sharp(x(time)), top);
      context.lineTo(sharp(x(time)), top + height);
    }
    for (const value of values) {
      context.moveTo(left, sharp(y(value)));
      context.lineTo(left + width, sharp(y(value)));
    }
    context.stroke();

    context.textAlign = 'center';
    context.textBaseline = 'top';
    for (const [index, time] of times.entries()) {
      // A label that would be cut off at the right edge says nothing.
      if (x(time) <= left + width - letter * (LABEL_WIDTH_EM / 2)) {
        context.fillText(labels[index]!, Math.round(x(time)), Math.round(top + height + gap));
      }
    }
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    const write = (text: string, middle: number): void =>
      context.fillText(text, Math.round(left - gap), Math.round(middle));
    if (rows === null) {
      for (const [index, text] of this.format.ticks(values).entries()) {
        write(text, y(values[index]!));
      }
    } else {
      for (const [row, name] of rowNames(rows, height / letter).entries()) {
        write(name, top + ((row + 0.5) / rows.length) * height);
      }
    }
  }

  private paintPicture(): void {
    const { context, frame } = this;
    const { left, top, width, height, min, max } = frame;
    context.save();
    context.beginPath();
    // Heads lie on the right edge: they get the room of the padding.
    context.rect(left, top - 8, width + this.letter, height + 16);
    context.clip();
    this.picture.paint(context, frame, this.look, devicePixelRatio, [min, max]);
    context.restore();
  }

  private axisWidth(): number {
    const { rows } = this.picture;
    const letters = Math.max(...(rows ?? []).map(({ length }) => length));
    return rows === null
      ? AXIS_WIDTH_EM
      : Math.max(LEAST_ROWS_WIDTH_EM, Math.min(letters, ROW_LETTERS) * LETTER_EM + 1);
  }
}

/** As many names as there is room for in so many em, each no longer than the axis is wide. */
function rowNames(rows: readonly string[], height: number): string[] {
  const every = Math.max(1, Math.ceil((rows.length * LEAST_ROW_EM) / height));
  return rows.map((name, row) =>
    row % every > 0 ? '' : name.length > ROW_LETTERS ? `${name.slice(0, ROW_LETTERS - 1)}…` : name,
  );
}
