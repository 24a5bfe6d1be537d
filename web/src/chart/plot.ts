import type { Format } from '../format/units.ts';
import { type Extent, extentOf } from './extent.ts';
import type { Frame } from './lines.ts';
import type { Look } from './palette.ts';
import type { Drawn, Picture } from './picture.ts';
import { multiples, timeLabels, timeSplits } from './splits.ts';

/** In em. An axis is as wide as its widest label, and at least this wide, */
const LEAST_AXIS_EM = 2;
/** and becomes narrower only when it is wider than its labels need by more than this. */
const SPARE_AXIS_EM = 1.5;
const ROW_LETTERS = 16;
const LEAST_ROW_EM = 1.1;
const AXIS_HEIGHT_EM = 2;
/** Space between a label and the plot area, and around the plot area on sides without an axis. */
const GAP_EM = 0.6;
const UNKEPT = 'not kept';
/** The widest label of the time axis: a time with seconds. */
const LABEL_WIDTH_EM = 4.6;

/** In CSS pixels: width, height and font size. */
export type PlotSize = readonly [width: number, height: number, em: number];

/** For printing, where it is shown at about half of this size: printers have finer pixels. */
export function onPaper(): PlotSize {
  const scale = 2 / devicePixelRatio;
  return [330 * scale, 150 * scale, 9 * scale];
}

export interface PlotOptions {
  readonly size: PlotSize;
  /** The font of its text. */
  readonly family: string;
  readonly look: Look;
  readonly format: Format;
  readonly picture: Picture;
  /**
   * Takes the CSS pixels that the axis needs. Returns those that it gets, which are at least as
   * many.
   */
  readonly agree: (axis: number) => number;
}

/**
 * A picture of lines over time, each with its own times, on axes that stay where they are.
 *
 * Everything is drawn on whole pixels of the device, text too, whatever the browser's zoom and the
 * root font make of an em. Nothing is drawn except by `draw`.
 */
export class Plot {
  /** The plot area, without the axes; the pointer moves over it. */
  readonly over = document.createElement('div');

  readonly #canvas = document.createElement('canvas');
  readonly #context = this.#canvas.getContext('2d')!;
  #em: number;
  readonly #family: string;
  #look: Look;
  readonly #format: Format;
  readonly #picture: Picture;
  readonly #agree: (axis: number) => number;
  /** Canvas pixels of the axis: what its labels need, and its width. */
  #needed = 0;
  #axis = 0;
  #extent: Extent | null = null;
  /** What the picture on the canvas was drawn for, apart from its points; empty while there is none. */
  #shown = '';
  /** Canvas pixels at the left that are older than what the server keeps. */
  #unkept = 0;
  #cssWidth: number;
  #cssHeight: number;
  /** The plot area in canvas pixels, and the span of time that it shows. */
  #frame: Frame;

  constructor(root: HTMLElement, options: PlotOptions) {
    this.#look = options.look;
    this.#format = options.picture.scaled?.(options.format) ?? options.format;
    this.#picture = options.picture;
    this.#agree = options.agree;
    this.#family = options.family;
    [this.#cssWidth, this.#cssHeight, this.#em] = options.size;
    this.#frame = this.#place(0, 1);
    this.over.className = 'over';
    this.#canvas.addEventListener('contextrestored', () => {
      this.#shown = '';
    });
    root.append(this.#canvas, this.over);
  }

  /** Set the size and the font size for the next drawing. */
  resize(...[width, height, em]: PlotSize): void {
    this.#cssWidth = width;
    this.#cssHeight = height;
    this.#em = em;
  }

  /**
   * Draw lines from one time to another (Unix milliseconds). There are no values before
   * `keptSince`, and the picture says so.
   */
  draw(drawn: readonly Drawn[], from: number, to: number, look: Look, keptSince: number): void {
    if (this.#goOn(drawn, from, to, look, keptSince)) {
      return;
    }
    this.#look = look;
    this.#frame = this.#place(from, to);
    const { width } = this.#frame;
    this.#picture.take(drawn, from, to, width);
    this.#extent = this.#fitting();
    // The axis may have new labels, which decide its width.
    this.#fitAxis();
    this.#frame = this.#place(from, to);
    if (this.#frame.width !== width) {
      this.#picture.take(drawn, from, to, this.#frame.width);
    }
    this.#fit();
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#unkept = this.#widthUntil(keptSince);
    this.#paintUnkept(this.#unkept);
    this.#paintAxes();
    this.#nameUnkept(this.#unkept);
    this.#clipped(0, () => this.#paintPicture(0));
    this.#shown = this.#state;
  }

  /**
   * Paint only what has come since, where all else is as it was drawn: most of the time, since a
   * picture of 15 minutes moves every two seconds. False where that can't be told.
   */
  #goOn(drawn: readonly Drawn[], from: number, to: number, look: Look, keptSince: number): boolean {
    const { width } = this.#frame;
    if (
      this.#shown !== this.#state ||
      this.#look !== look ||
      this.#frame.from !== from ||
      this.#frame.to !== to ||
      this.#agreed !== this.#axis ||
      this.#unkept !== this.#widthUntil(keptSince)
    ) {
      return false;
    }
    const first = this.#picture.extend?.(drawn, from, to, width, devicePixelRatio) ?? null;
    if (first === null || first >= width) {
      return first !== null;
    }
    if (first < this.#unkept || this.#fitting() !== this.#extent) {
      return false;
    }
    this.#clipped(first, () => {
      this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
      this.#paintAxes();
      this.#paintPicture(first);
    });
    return true;
  }

  /** The axis for what was taken: the present one while that fits. */
  #fitting(): Extent {
    const picture = this.#picture;
    const fit = picture.extent?.bind(picture) ?? extentOf;
    return fit(...picture.reach(), this.#format, this.#extent);
  }

  /** All that decides on the place and the size of what is drawn. */
  get #state(): string {
    return [this.#cssWidth, this.#cssHeight, this.#em, devicePixelRatio].join();
  }

  /** Canvas pixels from the left edge of the plot area to a time within it. */
  #widthUntil(time: number): number {
    const { from, to, width } = this.#frame;
    return Math.max(0, Math.round(Math.min(1, (time - from) / (to - from)) * width));
  }

  /** Paint within the plot area from a column on. */
  #clipped(first: number, paint: () => void): void {
    const context = this.#context;
    const { left, top, width, height } = this.#frame;
    context.save();
    context.beginPath();
    // The marks of newest points lie on the right edge; the padding has room for them.
    context.rect(left + first, top - 8, width - first + this.#letter, height + 16);
    context.clip();
    paint();
    context.restore();
  }

  /** The lowest and highest value that the axis, or the shades of a heatmap, stand for. */
  get span(): readonly [number, number] {
    return [this.#extent?.min ?? Number.NaN, this.#extent?.max ?? Number.NaN];
  }

  /** The row that is this many CSS pixels below the top of `over`, and its value at a time. */
  row(top: number, time: number): { readonly name: string; readonly value: number } | null {
    const { rows } = this.#picture;
    const row = Math.floor((top / this.over.clientHeight) * (rows?.length ?? 0));
    const name = rows?.[row];
    return name === undefined ? null : { name, value: this.#picture.at!(row, time) };
  }

  /** The width of `over` in CSS pixels, without asking the document. */
  get width(): number {
    return this.#frame.width / devicePixelRatio;
  }

  /** CSS pixels from the left of the picture to `over`, without asking the document. */
  get inset(): number {
    return this.#frame.left / devicePixelRatio;
  }

  /** CSS pixels from the left of `over` to a time. */
  left(time: number): number {
    const { from, to } = this.#frame;
    return ((time - from) / (to - from)) * this.width;
  }

  /** The time that is this many CSS pixels right of the left edge of `over`. */
  time(left: number): number {
    const { from, to } = this.#frame;
    return from + (left / this.width) * (to - from);
  }

  destroy(): void {
    this.#canvas.remove();
    this.over.remove();
  }

  /** Canvas pixels of an em, a whole number: text of a fractional size is blurred. */
  get #letter(): number {
    return Math.max(1, Math.round(this.#em * devicePixelRatio));
  }

  #place(from: number, to: number): Frame {
    const letter = this.#letter;
    const gap = Math.round(letter * GAP_EM);
    const left = this.#axis;
    const width = Math.round(this.#cssWidth * devicePixelRatio) - left - gap;
    const bottom = Math.round(letter * AXIS_HEIGHT_EM);
    const height = Math.round(this.#cssHeight * devicePixelRatio) - gap - bottom;
    const { min, max } = this.#extent ?? { min: 0, max: 1 };
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

  /** Give the canvas and the layer over it their sizes. */
  #fit(): void {
    const { over } = this;
    const canvas = this.#canvas;
    const frame = this.#frame;
    const width = Math.max(1, Math.round(this.#cssWidth * devicePixelRatio));
    const height = Math.max(1, Math.round(this.#cssHeight * devicePixelRatio));
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
      // Written only when it changes: each writing makes the browser lay out the page again.
      if (element.style.getPropertyValue(property) !== value) {
        element.style.setProperty(property, value);
      }
    }
  }

  /**
   * Hatch the part of the plot area, this many pixels wide, that is older than what the server
   * keeps.
   */
  #paintUnkept(wide: number): void {
    const context = this.#context;
    const frame = this.#frame;
    const letter = this.#letter;
    const look = this.#look;
    const { left, top, height } = frame;
    if (wide > 0) {
      context.save();
      context.beginPath();
      context.rect(left, top, wide, height);
      context.clip();
      context.strokeStyle = look.grid;
      context.lineWidth = Math.max(1, Math.round(devicePixelRatio));
      context.beginPath();
      for (let at = left - height; at < left + wide; at += letter) {
        context.moveTo(at, top + height);
        context.lineTo(at + height, top);
      }
      context.stroke();
      context.restore();
    }
  }

  /** Say in the hatched part why it is hatched, if there is room. */
  #nameUnkept(wide: number): void {
    const context = this.#context;
    const frame = this.#frame;
    const letter = this.#letter;
    const look = this.#look;
    const room = context.measureText(UNKEPT).width + letter;
    if (room < wide) {
      const [middle, y] = [frame.left + wide / 2, frame.top + frame.height / 2];
      context.clearRect(Math.round(middle - room / 2), Math.round(y - letter), room, 2 * letter);
      context.fillStyle = look.text;
      context.textAlign = 'center';
      context.textBaseline = 'middle';
      context.fillText(UNKEPT, Math.round(middle), Math.round(y));
    }
  }

  #paintAxes(): void {
    const context = this.#context;
    const frame = this.#frame;
    const letter = this.#letter;
    const look = this.#look;
    const { left, top, width, height, from, to, min, max } = frame;
    const { rows } = this.#picture;
    const gap = letter * GAP_EM;
    const thin = Math.max(1, Math.round(devicePixelRatio));
    context.font = `${letter}px ${this.#family}`;
    context.lineWidth = thin;
    context.strokeStyle = look.grid;
    context.fillStyle = look.text;
    // A stroke of an odd width is sharp if it is centred between two pixels.
    const sharp = (place: number): number => Math.round(place) + (thin % 2) / 2;

    const times = timeSplits(from, to, Math.max(2, width / (letter * 1.6 * LABEL_WIDTH_EM)));
    const labels = timeLabels(times);
    const values = rows === null ? this.#values() : [];
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
      // A label that would be cut off at the right edge is left out.
      if (x(time) <= left + width - letter * (LABEL_WIDTH_EM / 2)) {
        context.fillText(labels[index]!, Math.round(x(time)), Math.round(top + height + gap));
      }
    }
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    const write = (text: string, middle: number): void =>
      context.fillText(text, Math.round(left - gap), Math.round(middle));
    if (rows === null) {
      for (const [index, text] of this.#format.ticks(values).entries()) {
        write(text, y(values[index]!));
      }
    } else {
      for (const [row, name] of rowNames(rows, height / letter).entries()) {
        write(name, top + ((row + 0.5) / rows.length) * height);
      }
    }
  }

  #paintPicture(first: number): void {
    const frame = this.#frame;
    const reach = [frame.min, frame.max] as const;
    this.#picture.paint(this.#context, frame, this.#look, devicePixelRatio, reach, first);
  }

  /** Make the axis as wide as its labels and those of the other charts in its column need. */
  #fitAxis(): void {
    const context = this.#context;
    const letter = this.#letter;
    context.font = `${letter}px ${this.#family}`;
    const widths = this.#labels().map((text) => context.measureText(text).width);
    const needed = Math.ceil(
      Math.max(letter * LEAST_AXIS_EM, ...widths) + 2 * Math.round(letter * GAP_EM),
    );
    // Become wider at once, but narrower only when it is worth moving the picture.
    if (needed > this.#needed || this.#needed - needed > letter * SPARE_AXIS_EM) {
      this.#needed = needed;
    }
    this.#axis = this.#agreed;
  }

  /** Canvas pixels of the axis in this column of charts. */
  get #agreed(): number {
    return Math.round(this.#agree(this.#needed / devicePixelRatio) * devicePixelRatio);
  }

  /** The labels of the axis: its values, or the names of rows. */
  #labels(): string[] {
    const { rows } = this.#picture;
    return rows === null ? this.#format.ticks(this.#values()) : rows.map(shortened);
  }

  #values(): number[] {
    const { min, max, step } = this.#extent ?? { min: 0, max: 1, step: 1 };
    return multiples(min, max, step);
  }
}

/** As many names as fit into this many em, each shortened to the width of the axis. */
function rowNames(rows: readonly string[], height: number): string[] {
  const every = Math.max(1, Math.ceil((rows.length * LEAST_ROW_EM) / height));
  return rows.map((name, row) => (row % every > 0 ? '' : shortened(name)));
}

function shortened(name: string): string {
  return name.length > ROW_LETTERS ? `${name.slice(0, ROW_LETTERS - 1)}…` : name;
}
