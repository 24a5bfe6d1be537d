import { type ReadonlySignal, type Signal, useSignal, useSignalEffect } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { loadPart } from '../../browser/part.ts';
import { Columns } from '../../chart/columns.ts';
import { Curves } from '../../chart/curves.ts';
import type { Drawn, Picture } from '../../chart/picture.ts';
import { onPaper, Plot, type PlotSize } from '../../chart/plot.ts';
import { screens } from '../../chart/screen.ts';
import { look, printing } from '../../chart/theme.ts';
import { printable } from '../../format/printable.ts';
import type { Format } from '../../format/units.ts';
import type { Threshold } from '../../panels/model.ts';
import { isShown, lines } from '../../panels/shown.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Member, Panel } from '../../store/panel.ts';
import { FEW, rank } from '../../store/ranking.ts';
import { later } from '../later.tsx';
import { lookBack } from './lookback.ts';

/** Lines that one panel draws; of more, the highest. */
export const MOST_DRAWN = 40;
/** Areas that one panel stacks: a sum that leaves some out is none. */
export const MOST_STACKED = 500;
const LEAST_STILL_MS = 1_000;
/** CSS pixels around what is seen, within which charts are drawn as well. */
const MARGIN = 120;
/** CSS pixels within which a click means what is pinned. */
const PIN_WIDTH = 8;
/** And within which a tap means what is read: fingers are broader. */
const TAP_WIDTH = 16;
/** Shares of the window that an arrow moves the crosshair by at least, and with Shift. */
const STEP = 1 / 100;
const LONG_STEP = 1 / 10;

export type ChartKind = 'line' | 'area' | 'stacked' | 'heatmap';

const TITLES: Readonly<Record<ChartKind, string>> = {
  line: 'Line chart',
  area: 'Area chart',
  stacked: 'Stacked areas',
  heatmap: 'Heatmap',
};

/** Of all charts of the page. */
const columns = new Columns();

/** Who asked for less motion has pictures that move once a second. */
const still = matchMedia('(prefers-reduced-motion: reduce)');

/** Lines that a panel of this kind draws at the most. */
export function mostDrawn(kind: ChartKind): number {
  return kind === 'stacked' ? MOST_STACKED : MOST_DRAWN;
}

interface ChartProps {
  /** Of the panel, as which lines are shown is kept by. */
  readonly id: string;
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  readonly focus: Signal<string | null>;
  readonly inSight: ReadonlySignal<boolean>;
  readonly kind: ChartKind;
  /** The label that the rows of a heatmap are of. */
  readonly by?: string | undefined;
  readonly thresholds?: readonly Threshold[] | undefined;
}

/** The lines of a panel. They are painted by the painter, never by a render. */
export function Chart(props: ChartProps) {
  const { panel, dashboard, format, focus, inSight, kind, by, thresholds } = props;
  const root = useRef<HTMLDivElement>(null);
  const view = useRef<ChartView | null>(null);
  /** The time that was pinned to read its values. */
  const pinned = useSignal<number | null>(null);
  /** From the least to the most that shades of a heatmap stand for. */
  const shades = useSignal<readonly [number, number]>([Number.NaN, Number.NaN]);
  // Before the panel is first seen, so that it is first seen with its picture.
  useLayoutEffect(() => {
    let closed = false;
    const open = (picture: Picture): void => {
      if (!closed) {
        view.current = new ChartView(root.current!, props, picture, { pinned, shades });
      }
    };
    const picture = pictureOf(props);
    if (picture instanceof Promise) {
      void picture.then(open);
    } else {
      open(picture);
    }
    return () => {
      closed = true;
      view.current?.close();
      view.current = null;
    };
  }, [panel, dashboard, kind, by, format, JSON.stringify(thresholds)]);
  useSignalEffect(() => {
    // Whatever changes the picture besides new points.
    focus.value;
    lines.value;
    look.value;
    pinned.value;
    dashboard.windowMs.value;
    dashboard.heldAt.value;
    view.current?.repaint();
  });
  useSignalEffect(() => {
    // At first nothing has changed.
    if (screens.value > 0) {
      view.current?.refit();
    }
  });
  useSignalEffect(() => view.current?.point(dashboard.hover.value));
  /** What the crosshair is at, for those who move it by keyboard. */
  const said = useSignal('');
  const count = panel.members.length;
  return (
    <>
      <div class="chart">
        {/* An application, since a reader would else keep the arrows to itself. */}
        <div
          ref={root}
          class="plot"
          role="application"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: its values are read by keyboard.
          tabIndex={0}
          aria-roledescription="chart"
          aria-label={`${TITLES[kind]} of ${printable(panel.name)}, ${
            count === 1 ? 'one line' : `${count} lines`
          }. Left and right arrows read its values.`}
          onKeyDown={(event) => {
            if (view.current !== null && press(event, view.current)) {
              event.preventDefault();
              event.stopPropagation();
              void view.current.read().then((text) => {
                said.value = text;
              });
            }
          }}
          onBlur={() => {
            dashboard.hover.value = null;
            said.value = '';
          }}
        />
        <p class="unseen" aria-live="polite">
          {said.value}
        </p>
        {inSight.value && <Tip id={props.id} panel={panel} dashboard={dashboard} format={format} />}
        {pinned.value !== null && (
          <Pin
            id={props.id}
            panel={panel}
            format={format}
            time={pinned.value}
            onUnpin={() => {
              pinned.value = null;
            }}
            onShown={() => view.current?.repaint()}
          />
        )}
      </div>
      {kind === 'heatmap' && <Shades span={shades.value} format={format} counted={by === 'le'} />}
    </>
  );
}

/** With the first chart that is in sight, and not before its picture. */
const Tip = later(
  () => import('./tip.tsx'),
  ({ Tip }) => Tip,
);
const Pin = later(
  () => import('./pin.tsx'),
  ({ Pin }) => Pin,
);

/** Move the crosshair by a key; false for one that does nothing to it. */
function press(
  { key, shiftKey, ctrlKey, metaKey, altKey }: KeyboardEvent,
  view: ChartView,
): boolean {
  if (ctrlKey || metaKey || altKey) {
    return false;
  }
  const step = shiftKey ? LONG_STEP : STEP;
  switch (key) {
    case 'ArrowLeft':
      view.step(-step);
      return true;
    case 'ArrowRight':
      view.step(step);
      return true;
    case 'Home':
      view.step(Number.NEGATIVE_INFINITY);
      return true;
    case 'End':
      view.step(Number.POSITIVE_INFINITY);
      return true;
    case 'Enter':
      return view.pinHere();
    case 'Escape':
      return view.leave();
    default:
      return false;
  }
}

/** What the faintest and the darkest cell stand for. */
function Shades({
  span: [low, high],
  format,
  counted,
}: {
  readonly span: readonly [number, number];
  readonly format: Format;
  /** Whether cells count what falls into a bucket. */
  readonly counted: boolean;
}) {
  return (
    <p class="shades">
      <span>{format.value(low)}</span>
      <span aria-hidden="true" class="ramp" />
      <span>{format.value(high)}</span>
      {!counted && <span>each cell: the mean, its upper edge the highest</span>}
    </p>
  );
}

/** Curves are at hand; the others are loaded for those who look at one. */
function pictureOf({ kind, by, thresholds }: ChartProps): Picture | Promise<Picture> {
  switch (kind) {
    case 'stacked':
      return loadPart(() => import('../../chart/stack.ts')).then(({ Stack }) => new Stack());
    case 'heatmap':
      return loadPart(() => import('../../chart/heat.ts')).then(({ Heat }) => new Heat(by));
    default:
      return new Curves(kind === 'area', thresholds ?? []);
  }
}

/** What a view tells the component that it is of. */
interface Found {
  readonly pinned: Signal<number | null>;
  readonly shades: Signal<readonly [number, number]>;
}

class ChartView {
  readonly panel: Panel;
  inSight = false;
  private readonly root: HTMLElement;
  private readonly props: ChartProps;
  private readonly picture: Picture;
  private readonly pinned: Signal<number | null>;
  private readonly shades: Signal<readonly [number, number]>;
  private readonly crosshair = document.createElement('div');
  private readonly ends: (() => void)[];
  private plot: Plot | null = null;
  /** CSS pixels. */
  private width: number;
  private height: number;
  /** From the left of the page. */
  private left: number;
  private em: number;
  private readonly family: string;
  /** Whether the crosshair was moved by keyboard last. */
  private keyed = false;
  /** CSS pixels from the top that a pointer is at; null while it is elsewhere. */
  private pointerTop: number | null = null;

  constructor(root: HTMLElement, props: ChartProps, picture: Picture, { pinned, shades }: Found) {
    this.root = root;
    this.props = props;
    this.panel = props.panel;
    this.picture = picture;
    this.pinned = pinned;
    this.shades = shades;
    this.crosshair.className = 'crosshair';
    this.crosshair.hidden = true;
    // All that has to be read of the document is read here, where nothing is written: else the
    // first picture of each chart would have the whole page laid out again.
    const { top, bottom, left } = root.getBoundingClientRect();
    this.left = left;
    this.inSight = top < innerHeight + MARGIN && bottom > -MARGIN;
    this.width = root.clientWidth;
    this.height = root.clientHeight;
    const style = getComputedStyle(root);
    this.em = Number.parseFloat(style.fontSize);
    this.family = style.fontFamily;
    const sight = new IntersectionObserver(
      ([entry]) => {
        this.left = entry!.boundingClientRect.left;
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
      if (width !== this.width || height !== this.height) {
        this.width = width;
        this.height = height;
        this.refit();
      }
    });
    size.observe(root);
    this.ends = [
      props.dashboard.painter.add(this),
      () => sight.disconnect(),
      () => size.disconnect(),
      () => this.plot?.destroy(),
      () => columns.leave(this),
    ];
  }

  get rest(): number {
    if (still.matches) {
      return LEAST_STILL_MS;
    }
    // Half the time that one pixel stands for, and four times a second in the widest window.
    return Math.min(250, this.props.dashboard.windowMs.peek() / (2 * Math.max(1, this.width)));
  }

  get moves(): number {
    const { heldAt, windowMs } = this.props.dashboard;
    return still.matches || heldAt.peek() !== null
      ? Number.POSITIVE_INFINITY
      : windowMs.peek() / Math.max(1, this.width * devicePixelRatio);
  }

  close(): void {
    for (const end of this.ends) {
      end();
    }
  }

  /** Its size, that of its letters, or what a pixel is has changed. */
  refit(): void {
    this.left = this.root.getBoundingClientRect().left;
    this.em = Number.parseFloat(getComputedStyle(this.root).fontSize);
    this.plot?.resize(...this.size);
    this.repaint();
  }

  /** CSS pixels: width, height, and of letters. */
  private get size(): PlotSize {
    return printing.peek() ? onPaper() : [this.width, this.height, this.em];
  }

  repaint(): void {
    this.props.dashboard.painter.hurry(this);
  }

  paint(): void {
    const { width } = this;
    if (width === 0) {
      return;
    }
    const plot = this.plot ?? this.open();
    const { dashboard } = this.props;
    const span = dashboard.windowMs.peek();
    // Steps of a whole pixel: what was drawn keeps its place among the pixels, and its look.
    const step = span / Math.max(1, Math.round(width * devicePixelRatio));
    const to = Math.ceil(dashboard.edge / step) * step;
    const lines = this.lines(to);
    const oldest = lines.reduce(
      (least, { series }) => Math.min(least, series.column.firstTime || least),
      Number.POSITIVE_INFINITY,
    );
    plot.draw(lines, to - span, to, look.peek(), Math.min(oldest, dashboard.keptSince));
    if (this.picture.rows !== null && `${plot.span}` !== `${this.shades.peek()}`) {
      this.shades.value = plot.span;
    }
    this.point(dashboard.hover.peek());
    this.placePin();
  }

  /** Show where a time is, or nothing. */
  point(time: number | null): void {
    const left = time === null || this.plot === null ? -1 : this.plot.left(time);
    const width = this.plot?.width ?? 0;
    this.crosshair.hidden = !(left >= 0 && left <= width);
    this.crosshair.style.translate = `${left}px 0`;
    this.crosshair.classList.toggle('flipped', left > width / 2);
    const row =
      time === null || this.pointerTop === null ? null : this.plot!.row(this.pointerTop, time);
    this.crosshair.dataset.row =
      row === null ? '' : `${printable(row.name)} · ${this.props.format.value(row.value)}`;
    if (!this.crosshair.hidden) {
      const chart = this.root.parentElement!;
      chart.style.setProperty('--at', `${this.plot!.inset + left}px`);
      chart.classList.toggle('flipped', left > width / 2);
    }
  }

  /** Move the crosshair by a share of the window, and as far as the next sample is. */
  step(share: number): void {
    const { dashboard, id } = this.props;
    const span = dashboard.windowMs.peek();
    const to = dashboard.edge;
    const before = dashboard.hover.peek() ?? to;
    const least = Math.min(to, Math.max(to - span, before + share * span));
    const times = this.panel.members
      .filter((member) => isShown(id, member))
      .map(({ series: { column } }) => {
        const after = column.indexOf(least);
        // At the very beginning that is the first that is shown.
        const back = share === Number.NEGATIVE_INFINITY ? after : Math.max(0, after - 1);
        const at = share > 0 ? Math.min(after, column.length - 1) : back;
        return column.slice(at, at + 1).times[0] ?? Number.NaN;
      })
      .filter((time) => time >= to - span && time <= to);
    const next = share > 0 ? Math.min(...times) : Math.max(...times);
    this.pointerTop = null;
    this.keyed = true;
    dashboard.hover.value = Number.isFinite(next) ? next : least;
  }

  /** What is under the crosshair, in words. */
  async read(): Promise<string> {
    const { spoken } = await loadPart(() => import('./tip.tsx'));
    const time = this.props.dashboard.hover.peek();
    return time === null ? '' : spoken(this.props, time);
  }

  /** Pin the time of the crosshair, or unpin it; false where there is none. */
  pinHere(): boolean {
    const time = this.props.dashboard.hover.peek();
    if (time !== null) {
      this.pin(this.plot!.left(time));
    }
    return time !== null;
  }

  /** Take the crosshair away; false where there is none. */
  leave(): boolean {
    const { hover } = this.props.dashboard;
    // That of a pointer goes with the pointer.
    const there = this.keyed && hover.peek() !== null && this.pinned.peek() === null;
    if (there) {
      this.keyed = false;
      hover.value = null;
    }
    return there;
  }

  /** Keep what is pinned at its time, until that leaves the picture. */
  private placePin(): void {
    const time = this.pinned.peek();
    if (time === null) {
      return;
    }
    const { over, width } = this.plot!;
    const left = this.plot!.left(time);
    const pin = this.root.parentElement?.querySelector<HTMLElement>('.pin');
    if (left < 0 || left > width) {
      this.pinned.value = null;
    } else if (pin) {
      pin.style.visibility = '';
      pin.style.left = `${over.offsetLeft + left}px`;
      pin.classList.toggle('flipped', left > width / 2);
    }
  }

  /** Read a time in all panels, until it is tapped again. */
  private tap(left: number, top: number): void {
    const { hover } = this.props.dashboard;
    const before = hover.peek();
    const near = before !== null && Math.abs(this.plot!.left(before) - left) < TAP_WIDTH;
    this.pointerTop = near ? null : top;
    hover.value = near ? null : this.plot!.time(left);
    this.point(hover.value);
  }

  /** Pin the time of a place, or unpin it. */
  private pin(left: number): void {
    const before = this.pinned.peek();
    const near = before !== null && Math.abs(this.plot!.left(before) - left) < PIN_WIDTH;
    this.pinned.value = near ? null : this.plot!.time(left);
  }

  private lines(now: number): Drawn[] {
    const { id, kind } = this.props;
    const { raw } = this.panel;
    const focus = this.props.focus.peek();
    const piled = kind === 'stacked' || kind === 'heatmap';
    const most = mostDrawn(kind);
    const shown = (member: Member): boolean => isShown(id, member);
    const ranked = rank(this.panel, now).filter(shown).slice(0, most);
    // Layers and rows keep their order, whoever is highest now.
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
    // The highest last, and the one that is looked at on top of all.
    return piled ? drawn : drawn.reverse().sort((a, b) => Number(b.faded) - Number(a.faded));
  }

  private open(): Plot {
    const { dashboard, format } = this.props;
    this.plot = new Plot(this.root, {
      size: this.size,
      family: this.family,
      agree: (axis) => columns.agree(this, this.left, axis, () => this.repaint()),
      look: look.peek(),
      format,
      picture: this.picture,
    });
    const { over } = this.plot;
    over.append(this.crosshair);
    const { hover } = dashboard;
    over.addEventListener('pointermove', (event) => {
      // A finger moves the picture; where it taps is what is read.
      if (event.pointerType === 'touch') {
        return;
      }
      this.keyed = false;
      const { left, top } = over.getBoundingClientRect();
      this.pointerTop = event.clientY - top;
      hover.value = this.plot!.time(event.clientX - left);
      this.point(hover.value);
    });
    over.addEventListener('pointerleave', ({ pointerType }) => {
      if (pointerType !== 'touch') {
        this.pointerTop = null;
        hover.value = null;
      }
    });
    lookBack(over, dashboard, {
      timeAt: (left) => this.plot!.time(left),
      click: (left) => this.pin(left),
      tap: (left, top) => this.tap(left, top),
    });
    return this.plot;
  }
}
