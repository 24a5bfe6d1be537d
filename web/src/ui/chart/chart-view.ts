/** One chart in the document: its canvas, its crosshair and its pin; painted by the painter. */

import type { ReadonlySignal, Signal } from '@preact/signals';
import { loadPart } from '../../browser/part.ts';
import { Columns } from '../../chart/columns.ts';
import type { Drawn, Picture } from '../../chart/picture.ts';
import { onPaper, Plot, type PlotSize } from '../../chart/plot.ts';
import { look, printing } from '../../chart/theme.ts';
import { printable } from '../../format/printable.ts';
import type { Format } from '../../format/units.ts';
import type { Threshold } from '../../panels/model.ts';
import { isShown } from '../../panels/shown.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Member, Panel } from '../../store/panel.ts';
import { FEW, rank } from '../../store/ranking.ts';

/** The most lines that one panel draws; of more, the highest. */
const MOST_DRAWN = 40;
/**
 * The most areas that one panel stacks. There are more than lines, because a stack without some of
 * its areas shows a wrong sum.
 */
const MOST_STACKED = 500;
const LEAST_STILL_MS = 1_000;
/** Charts within this many CSS pixels of the visible area are drawn as well. */
const MARGIN = 120;
/** A click within this many CSS pixels of the pin removes it, */
const PIN_WIDTH = 8;
/** and a tap within these many of the crosshair ends reading: fingers are broader. */
const TAP_WIDTH = 16;

export type ChartKind = 'line' | 'area' | 'stacked' | 'heatmap';

/** Shared by all charts of the page. */
const columns = new Columns();

/** With reduced motion, pictures move once a second. */
const still = matchMedia('(prefers-reduced-motion: reduce)');

/** The most lines that a panel of this kind draws. */
export function mostDrawn(kind: ChartKind): number {
  return kind === 'stacked' ? MOST_STACKED : MOST_DRAWN;
}

export interface ChartProps {
  /** The id of the panel, by which the choice of lines is saved. */
  readonly id: string;
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  readonly focus: Signal<string | null>;
  readonly inSight: ReadonlySignal<boolean>;
  readonly kind: ChartKind;
  /** The label whose values are the rows of a heatmap. */
  readonly by?: string | undefined;
  readonly thresholds?: readonly Threshold[] | undefined;
  /** The picture that it has, if it isn't the usual one of its kind. */
  readonly picture?: (() => Promise<Picture>) | undefined;
}

/** What a view reports to its component. */
interface Found {
  readonly pinned: Signal<number | null>;
  readonly shades: Signal<readonly [number, number]>;
}

export class ChartView {
  readonly panel: Panel;
  inSight = false;
  readonly #root: HTMLElement;
  readonly #props: ChartProps;
  readonly #picture: Picture;
  readonly #pinned: Signal<number | null>;
  readonly #shades: Signal<readonly [number, number]>;
  readonly #crosshair = document.createElement('div');
  readonly #ends: (() => void)[];
  #plot: Plot | null = null;
  /** CSS pixels. */
  #width: number;
  #height: number;
  /** From the left of the page. */
  #left: number;
  #em: number;
  readonly #family: string;
  /** Whether the crosshair was last moved by keyboard. */
  #keyed = false;
  /** CSS pixels from the top to the pointer; null while it is elsewhere. */
  #pointerTop: number | null = null;

  constructor(root: HTMLElement, props: ChartProps, picture: Picture, { pinned, shades }: Found) {
    this.#root = root;
    this.#props = props;
    this.panel = props.panel;
    this.#picture = picture;
    this.#pinned = pinned;
    this.#shades = shades;
    this.#crosshair.className = 'crosshair';
    this.#crosshair.hidden = true;
    // Everything is read from the document here, before anything is written to it. Otherwise the
    // browser would lay out the whole page again for the first picture of each chart.
    const { top, bottom, left } = root.getBoundingClientRect();
    this.#left = left;
    this.inSight = top < innerHeight + MARGIN && bottom > -MARGIN;
    this.#width = root.clientWidth;
    this.#height = root.clientHeight;
    const style = getComputedStyle(root);
    this.#em = Number.parseFloat(style.fontSize);
    this.#family = style.fontFamily;
    const sight = new IntersectionObserver(
      ([entry]) => {
        this.#left = entry!.boundingClientRect.left;
        if (this.inSight !== entry!.isIntersecting) {
          this.inSight = entry!.isIntersecting;
          this.repaint();
        }
      },
      { rootMargin: `${MARGIN}px` },
    );
    sight.observe(root);
    const size = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      if (width !== this.#width || height !== this.#height) {
        this.#width = width;
        this.#height = height;
        this.refit();
      }
    });
    size.observe(root);
    this.#ends = [
      props.dashboard.painter.add(this),
      () => sight.disconnect(),
      () => size.disconnect(),
      () => this.#plot?.destroy(),
      () => columns.leave(this),
    ];
  }

  get rest(): number {
    if (still.matches) {
      return LEAST_STILL_MS;
    }
    // Half of the time that one pixel stands for, but at least four times a second.
    return Math.min(
      250,
      this.#props.dashboard.time.windowMs.peek() / (2 * Math.max(1, this.#width)),
    );
  }

  get moves(): number {
    const { heldAt, windowMs } = this.#props.dashboard.time;
    return still.matches || heldAt.peek() !== null
      ? Number.POSITIVE_INFINITY
      : windowMs.peek() / Math.max(1, this.#width * devicePixelRatio);
  }

  close(): void {
    for (const end of this.#ends) {
      end();
    }
  }

  /** Its size, its font size or the pixel ratio has changed. */
  refit(): void {
    this.#left = this.#root.getBoundingClientRect().left;
    this.#em = Number.parseFloat(getComputedStyle(this.#root).fontSize);
    this.#plot?.resize(...this.#size);
    this.repaint();
  }

  /** In CSS pixels: width, height and font size. */
  get #size(): PlotSize {
    return printing.peek() ? onPaper() : [this.#width, this.#height, this.#em];
  }

  repaint(): void {
    this.#props.dashboard.painter.redraw(this);
  }

  paint(): void {
    const width = this.#width;
    if (width === 0) {
      return;
    }
    const plot = this.#plot ?? this.#open();
    const { dashboard } = this.#props;
    const span = dashboard.time.windowMs.peek();
    // The picture moves by whole pixels, so that what was drawn looks the same after each move.
    const step = span / Math.max(1, Math.round(width * devicePixelRatio));
    const to = Math.ceil(dashboard.time.edge / step) * step;
    const lines = this.#lines(to);
    const oldest = lines.reduce(
      (least, { series }) => Math.min(least, series.column.firstTime || least),
      Number.POSITIVE_INFINITY,
    );
    plot.draw(lines, to - span, to, look.peek(), Math.min(oldest, dashboard.keptSince));
    if (this.#picture.rows !== null && `${plot.span}` !== `${this.#shades.peek()}`) {
      this.#shades.value = plot.span;
    }
    this.point(dashboard.hover.peek());
    this.#placePin();
  }

  /** Show the crosshair at a time, or hide it. */
  point(time: number | null): void {
    const left = time === null || this.#plot === null ? -1 : this.#plot.left(time);
    const width = this.#plot?.width ?? 0;
    const hidden = !(left >= 0 && left <= width);
    if (hidden && this.#crosshair.hidden) {
      return;
    }
    this.#crosshair.hidden = hidden;
    this.#crosshair.style.translate = `${left}px 0`;
    this.#crosshair.classList.toggle('flipped', left > width / 2);
    const row =
      time === null || this.#pointerTop === null ? null : this.#plot!.row(this.#pointerTop, time);
    this.#crosshair.dataset.row =
      row === null ? '' : `${printable(row.name)} · ${this.#props.format.value(row.value)}`;
    if (!this.#crosshair.hidden) {
      const chart = this.#root.parentElement!;
      chart.style.setProperty('--at', `${this.#plot!.inset + left}px`);
      chart.classList.toggle('flipped', left > width / 2);
    }
  }

  /** Move the crosshair by a share of the window, and at least to the next sample. */
  step(share: number): void {
    const { dashboard, id } = this.#props;
    const span = dashboard.time.windowMs.peek();
    const to = dashboard.time.edge;
    const before = dashboard.hover.peek() ?? to;
    const least = Math.min(to, Math.max(to - span, before + share * span));
    const times = this.panel.members
      .filter((member) => isShown(id, member))
      .map(({ series: { column } }) => {
        const after = column.indexOf(least);
        // At the left edge it is the first sample that is shown.
        const back = share === Number.NEGATIVE_INFINITY ? after : Math.max(0, after - 1);
        const at = share > 0 ? Math.min(after, column.length - 1) : back;
        return column.slice(at, at + 1).times[0] ?? Number.NaN;
      })
      .filter((time) => time >= to - span && time <= to);
    const next = share > 0 ? Math.min(...times) : Math.max(...times);
    this.#pointerTop = null;
    this.#keyed = true;
    dashboard.hover.value = Number.isFinite(next) ? next : least;
  }

  /** The values at the crosshair in words. */
  async read(): Promise<string> {
    const { spoken } = await loadPart(() => import('./tip.tsx'));
    const time = this.#props.dashboard.hover.peek();
    return time === null ? '' : spoken(this.#props, time);
  }

  /** Pin the time of the crosshair, or unpin it; false if there is no crosshair. */
  pinHere(): boolean {
    const time = this.#props.dashboard.hover.peek();
    if (time !== null) {
      this.#pin(this.#plot!.left(time));
    }
    return time !== null;
  }

  /** Hide the crosshair; false if there is none. */
  leave(): boolean {
    const { hover } = this.#props.dashboard;
    // The crosshair of a pointer is hidden when the pointer leaves.
    const there = this.#keyed && hover.peek() !== null && this.#pinned.peek() === null;
    if (there) {
      this.#keyed = false;
      hover.value = null;
    }
    return there;
  }

  /** Keep the pin at its time until that time leaves the picture. */
  #placePin(): void {
    const time = this.#pinned.peek();
    if (time === null) {
      return;
    }
    const { over, width } = this.#plot!;
    const left = this.#plot!.left(time);
    const pin = this.#root.parentElement?.querySelector<HTMLElement>('.pin');
    if (left < 0 || left > width) {
      this.#pinned.value = null;
    } else if (pin) {
      pin.style.visibility = '';
      pin.style.left = `${over.offsetLeft + left}px`;
      pin.classList.toggle('flipped', left > width / 2);
    }
  }

  /** Show the crosshair at a time in all panels until it is tapped again. */
  #tap(left: number, top: number): void {
    const { hover } = this.#props.dashboard;
    const before = hover.peek();
    const near = before !== null && Math.abs(this.#plot!.left(before) - left) < TAP_WIDTH;
    this.#pointerTop = near ? null : top;
    hover.value = near ? null : this.#plot!.time(left);
    this.point(hover.value);
  }

  /** Pin the time at a place, or unpin it. */
  #pin(left: number): void {
    const before = this.#pinned.peek();
    const near = before !== null && Math.abs(this.#plot!.left(before) - left) < PIN_WIDTH;
    this.#pinned.value = near ? null : this.#plot!.time(left);
  }

  #lines(now: number): Drawn[] {
    const { id, kind } = this.#props;
    const { raw } = this.panel;
    const focus = this.#props.focus.peek();
    const piled = kind === 'stacked' || kind === 'heatmap';
    const most = mostDrawn(kind);
    const shown = (member: Member): boolean => isShown(id, member);
    const ranked = rank(this.panel, now).filter(shown).slice(0, most);
    // Layers and rows keep their order, whichever value is the highest.
    const { members } = this.panel;
    const chosen = piled && members.length <= most ? members.filter(shown) : ranked;
    const drawn = chosen.map(({ series, title, colour }) => ({
      series,
      title: title || series.name,
      colour,
      faded: focus !== null && focus !== series.identity,
      headed: ranked.length <= FEW && !series.gone && !series.isSilent(now),
      raw,
    }));
    // The highest line is drawn last, and the focused line on top of all.
    return piled ? drawn : drawn.reverse().sort((a, b) => Number(b.faded) - Number(a.faded));
  }

  #open(): Plot {
    const { dashboard, format } = this.#props;
    this.#plot = new Plot(this.#root, {
      size: this.#size,
      family: this.#family,
      agree: (axis) => columns.agree(this, this.#left, axis, () => this.repaint()),
      look: look.peek(),
      format,
      picture: this.#picture,
    });
    const { over } = this.#plot;
    over.append(this.#crosshair);
    const { hover } = dashboard;
    over.addEventListener('pointermove', (event) => {
      // A finger that moves moves the picture; a tap shows the values at its place.
      if (event.pointerType === 'touch') {
        return;
      }
      this.#keyed = false;
      const { left, top } = over.getBoundingClientRect();
      this.#pointerTop = event.clientY - top;
      hover.value = this.#plot!.time(event.clientX - left);
      this.point(hover.value);
    });
    over.addEventListener('pointerleave', ({ pointerType }) => {
      if (pointerType !== 'touch') {
        this.#pointerTop = null;
        hover.value = null;
      }
    });
    over.style.touchAction = 'pan-y';
    // With the first picture, as what is shown under the pointer.
    void loadPart(() => import('./lookback.ts')).then(({ lookBack }) =>
      lookBack(over, dashboard, {
        timeAt: (left) => this.#plot!.time(left),
        click: (left) => this.#pin(left),
        tap: (left, top) => this.#tap(left, top),
      }),
    );
    return this.#plot;
  }
}
