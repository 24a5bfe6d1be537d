import { type Signal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { type Drawn, Plot } from '../chart/plot.ts';
import type { Dashboard } from '../dashboard.ts';
import { formatClock } from '../format/time.ts';
import type { Format } from '../format/units.ts';
import type { Panel } from '../store/panel.ts';
import { FEW, rank } from '../store/ranking.ts';
import { look } from '../theme.ts';
import { lookBack } from './lookback.ts';

/** Lines that one panel draws; of more, the highest. */
export const MOST_DRAWN = 40;

interface ChartProps {
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  readonly focus: Signal<string | null>;
  /** Whether the area under each line is filled, be there more than one. */
  readonly filled?: boolean;
}

/** The lines of a panel. It is painted by the painter, never by a render. */
export function Chart({ panel, dashboard, format, focus, filled = false }: ChartProps) {
  const root = useRef<HTMLDivElement>(null);
  const view = useRef<ChartView | null>(null);
  useEffect(() => {
    view.current = new ChartView(root.current!, panel, dashboard, format, focus, filled);
    return () => view.current?.close();
  }, [panel, dashboard, filled]);
  useSignalEffect(() => {
    // Whatever changes the picture besides new points.
    focus.value;
    look.value;
    dashboard.windowMs.value;
    dashboard.heldAt.value;
    view.current?.repaint();
  });
  useSignalEffect(() => view.current?.point(dashboard.hover.value));
  const count = panel.members.length;
  return (
    <div
      ref={root}
      class="chart"
      role="img"
      aria-label={`Line chart of ${panel.name}, ${count === 1 ? 'one line' : `${count} lines`}`}
    />
  );
}

class ChartView {
  readonly panel: Panel;
  inSight = false;
  private readonly root: HTMLElement;
  private readonly dashboard: Dashboard;
  private readonly format: Format;
  private readonly focus: Signal<string | null>;
  private readonly filled: boolean;
  private readonly crosshair = document.createElement('div');
  private readonly ends: (() => void)[];
  private plot: Plot | null = null;

  constructor(
    root: HTMLElement,
    panel: Panel,
    dashboard: Dashboard,
    format: Format,
    focus: Signal<string | null>,
    filled: boolean,
  ) {
    this.root = root;
    this.panel = panel;
    this.dashboard = dashboard;
    this.format = format;
    this.focus = focus;
    this.filled = filled;
    this.crosshair.className = 'crosshair';
    this.crosshair.hidden = true;
    const sight = new IntersectionObserver(
      ([entry]) => {
        this.inSight = entry!.isIntersecting;
        this.repaint();
      },
      { rootMargin: '120px' },
    );
    sight.observe(root);
    const size = new ResizeObserver(() => {
      this.plot?.resize(root.clientWidth, root.clientHeight);
      this.repaint();
    });
    size.observe(root);
    this.ends = [
      dashboard.painter.add(this),
      () => sight.disconnect(),
      () => size.disconnect(),
      () => this.plot?.destroy(),
    ];
  }

  get rest(): number {
    const { clientWidth } = this.root;
    // Half the time that one pixel stands for, and four times a second in the widest window.
    return Math.min(250, this.dashboard.windowMs.peek() / (2 * Math.max(1, clientWidth)));
  }

  close(): void {
    for (const end of this.ends) {
      end();
    }
  }

  repaint(): void {
    this.dashboard.painter.hurry(this);
  }

  paint(): void {
    const { clientWidth: width } = this.root;
    if (width === 0) {
      return;
    }
    const plot = this.plot ?? this.open();
    const span = this.dashboard.windowMs.peek();
    // Steps of a whole pixel: what was drawn keeps its place among the pixels, and its look.
    const step = span / width;
    const to = Math.ceil(this.dashboard.edge / step) * step;
    plot.draw(this.lines(to), to - span, to, look.peek());
    this.point(this.dashboard.hover.peek());
  }

  /** Show where a time is, or nothing. */
  point(time: number | null): void {
    const left = time === null || this.plot === null ? -1 : this.plot.left(time);
    this.crosshair.hidden = !(left >= 0 && left <= (this.plot?.over.clientWidth ?? 0));
    this.crosshair.style.translate = `${left}px 0`;
    this.crosshair.dataset.time = time === null ? '' : formatClock(time);
    this.crosshair.classList.toggle('flipped', left > (this.plot?.over.clientWidth ?? 0) / 2);
  }

  private lines(now: number): Drawn[] {
    const focus = this.focus.peek();
    const ranked = rank(this.panel, now).slice(0, MOST_DRAWN);
    const drawn = ranked.map(({ series, colour }) => ({
      series,
      colour,
      faded: focus !== null && focus !== series.identity,
      headed: ranked.length <= FEW && !series.gone && !series.isSilent(now),
    }));
    // The highest last, and the one that is looked at on top of all.
    return drawn.reverse().sort((a, b) => Number(b.faded) - Number(a.faded));
  }

  private open(): Plot {
    const style = getComputedStyle(this.root);
    this.plot = new Plot(this.root, {
      width: this.root.clientWidth,
      height: this.root.clientHeight,
      em: Number.parseFloat(style.fontSize),
      look: look.peek(),
      format: this.format,
      filled: this.filled,
    });
    const { over } = this.plot;
    over.append(this.crosshair);
    const { hover } = this.dashboard;
    over.addEventListener('pointermove', (event) => {
      hover.value = this.plot!.time(event.clientX - over.getBoundingClientRect().left);
    });
    over.addEventListener('pointerleave', () => {
      hover.value = null;
    });
    lookBack(over, this.dashboard, (left) => this.plot!.time(left));
    return this.plot;
  }
}
