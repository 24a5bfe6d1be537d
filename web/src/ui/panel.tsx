import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useMemo, useRef } from 'preact/hooks';
import type { Dashboard } from '../dashboard.ts';
import { formatAge } from '../format/time.ts';
import { type Format, formatOf } from '../format/units.ts';
import { collapsed, hidden, tabular } from '../panels/arrangement.ts';
import type { FiguresProps } from '../panels/figures.tsx';
import { Mark } from '../panels/mark.tsx';
import {
  type Panel as Description,
  type PanelKind,
  reached,
  type Threshold,
} from '../panels/model.ts';
import { isReadable, select } from '../panels/selection.ts';
import type { Panel } from '../store/panel.ts';
import { latestOf, valueAt } from '../store/rate.ts';
import { Chart, type ChartKind, mostDrawn } from './chart.tsx';
import { useLater } from './later.ts';
import { Legend } from './legend.tsx';

/** A panel as it was described: drawn from the series that its selector means. */
export function PanelView({ panel, dashboard }: { panel: Description; dashboard: Dashboard }) {
  const group = useRef<Panel | null>(null);
  group.current = select(dashboard.panels.value, panel.select, group.current, panel.rate === false);
  if (group.current !== null) {
    return <PanelCard panel={group.current} description={panel} dashboard={dashboard} />;
  }
  const heading = panel.title ?? panel.select;
  return (
    <section class="panel" aria-label={heading}>
      <header>
        <h3>{heading}</h3>
      </header>
      <p class="remark">
        {isReadable(panel.select)
          ? 'No series matches yet. They appear here as soon as someone publishes them.'
          : `The selector ${panel.select} can’t be read.`}
      </p>
    </section>
  );
}

interface CardProps {
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  /** How it is to be drawn, where somebody said so. */
  readonly description?: Description;
}

/** One panel: what it is, its newest value if there is one line, the chart, the legend. */
export function PanelCard({ panel, dashboard, description }: CardProps) {
  const title = useId();
  const root = useRef<HTMLElement>(null);
  const inSight = useSignal(false);
  useEffect(() => {
    const sight = new IntersectionObserver(([entry]) => {
      inSight.value = entry!.isIntersecting;
    });
    sight.observe(root.current!);
    return () => sight.disconnect();
  }, []);
  const wanted = description?.kind ?? (tabular.has(panel.key) ? 'table' : 'line');
  const kind = panel.kind === 'state' ? 'timeline' : wanted === 'timeline' ? 'line' : wanted;
  const chart = chartOf(kind);
  const listed = chart !== null && kind !== 'stat' && kind !== 'heatmap';
  /** Identity of the line that is looked at, by pointer or by choice. */
  const focus = useSignal<string | null>(null);
  const folded = description === undefined && collapsed.has(panel.key);
  const unit = description?.unit ?? panel.unit;
  const { rate } = panel;
  const format = useMemo(() => formatOf(unit, rate), [unit, rate]);
  return (
    <section ref={root} class={folded ? 'panel folded' : 'panel'} aria-labelledby={title}>
      <header>
        <div class="title">
          <h3 id={title}>{description?.title ?? panel.name}</h3>
          {listed && (
            <Single
              panel={panel}
              dashboard={dashboard}
              format={format}
              thresholds={description?.thresholds}
            />
          )}
          <Tools>
            <Save
              title={description?.title ?? panel.name}
              panel={panel}
              dashboard={dashboard}
              format={format}
              drawn={chart !== null && !folded}
            />
            {description === undefined && <Fold panel={panel} />}
          </Tools>
        </div>
        <p class="about">
          <Silence panel={panel} dashboard={dashboard} />
          {panel.rate && (
            <span class="chip" title={`A ${panel.kind}, drawn as its change per second`}>
              per second
            </span>
          )}
          {Object.entries(panel.common).map(([name, value]) => (
            <span class="chip" key={name} title={`${name}="${value}" is common to all lines`}>
              {name}={value}
            </span>
          ))}
          {panel.help && <span title={panel.help}>{panel.help}</span>}
        </p>
      </header>
      {folded ? null : panel.kind === 'state' ? (
        <States panel={panel} dashboard={dashboard} />
      ) : (
        <>
          {(chart === null || kind === 'stat') && (
            <Figures
              panel={panel}
              dashboard={dashboard}
              format={format}
              description={description ?? { id: panel.key, kind, select: panel.name }}
              inSight={inSight}
            />
          )}
          {chart !== null && (
            <Chart
              panel={panel}
              dashboard={dashboard}
              format={format}
              focus={focus}
              kind={chart}
              by={description?.by}
              thresholds={description?.thresholds}
            />
          )}
          {listed && panel.members.length > 1 && (
            <Legend
              panel={panel}
              dashboard={dashboard}
              format={format}
              focus={focus}
              inSight={inSight}
              thresholds={description?.thresholds}
            />
          )}
          {chart !== null && panel.members.length > mostDrawn(chart) && (
            <p class="remark">
              {mostDrawn(chart)} of {panel.members.length} lines are drawn: those that are highest
              now.
            </p>
          )}
        </>
      )}
    </section>
  );
}

/** What of a panel isn't a chart is loaded for those who look at one. */
function Figures(props: FiguresProps) {
  const module = useLater(() => import('../panels/figures.tsx'));
  return module && <module.Figures {...props} />;
}

function States(props: { readonly panel: Panel; readonly dashboard: Dashboard }) {
  const module = useLater(() => import('./states.tsx'));
  return module && <module.States {...props} />;
}

/** The chart that a panel of a kind has; null for none. */
function chartOf(kind: PanelKind): ChartKind | null {
  switch (kind) {
    case 'line':
    case 'area':
    case 'stacked':
    case 'heatmap':
      return kind;
    case 'stat':
      return 'line';
    default:
      return null;
  }
}

/** What can be done with a panel; there for a pointer that is near, and for the keyboard. */
function Tools({ children }: { children: ComponentChildren }) {
  return <span class="fold">{children}</span>;
}

interface SaveProps {
  readonly title: string;
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  /** Whether there is a picture. */
  readonly drawn: boolean;
}

/** Get what is shown as a file. */
function Save({ title, panel, dashboard, format, drawn }: SaveProps) {
  const save = async (root: Element, picture: boolean): Promise<void> => {
    const [{ hand, pngOf }, { csvOf }] = await Promise.all([
      import('./saving.ts'),
      import('../panels/csv.ts'),
    ]);
    const to = dashboard.edge;
    if (picture) {
      const canvas = root.closest('.panel')!.querySelector('canvas')!;
      const { heldAt } = dashboard;
      const blob = await pngOf(canvas, title, panel, format, heldAt.peek(), to);
      hand(`${title}.png`, blob);
    } else {
      const text = csvOf(panel, to - dashboard.windowMs.peek(), to);
      hand(`${title}.csv`, new Blob([text], { type: 'text/csv' }));
    }
  };
  return (
    <>
      {drawn && (
        <button
          type="button"
          class="file"
          aria-label={`${title} as a PNG picture`}
          title="The chart as a picture"
          onClick={({ currentTarget }) => void save(currentTarget, true)}
        >
          PNG
        </button>
      )}
      <button
        type="button"
        class="file"
        aria-label={`${title} as a CSV file`}
        title="The points in this window, as a table"
        onClick={({ currentTarget }) => void save(currentTarget, false)}
      >
        CSV
      </button>
    </>
  );
}

/** Read a panel as a table, collapse it to its name, or hide it. */
function Fold({ panel: { key, name, kind } }: { panel: Panel }) {
  const folded = collapsed.has(key);
  return (
    <>
      {kind !== 'state' && (
        <button
          type="button"
          aria-pressed={tabular.has(key)}
          aria-label={`${name} as a table`}
          title="Last, lowest, highest and mean of each line in this window"
          onClick={() => tabular.toggle(key)}
        >
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path d="M2.5 3.5h11v9h-11zM2.5 6.5h11M2.5 9.5h11M6.5 3.5v9" />
          </svg>
        </button>
      )}
      <button
        type="button"
        aria-expanded={!folded}
        aria-label={`Collapse ${name}`}
        title={folded ? 'Expand' : 'Collapse'}
        onClick={() => collapsed.toggle(key)}
      >
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d={folded ? 'M6 4l4 4-4 4' : 'M4 6l4 4 4-4'} />
        </svg>
      </button>
      <button
        type="button"
        aria-label={`Hide ${name}`}
        title="Hide"
        onClick={() => hidden.toggle(key)}
      >
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d="M4 4l8 8M12 4l-8 8" />
        </svg>
      </button>
    </>
  );
}

/** The value of a panel's only line, now or where the pointer is. */
function Single({
  panel,
  dashboard,
  format,
  thresholds,
}: {
  panel: Panel;
  dashboard: Dashboard;
  format: Format;
  thresholds: readonly Threshold[] | undefined;
}) {
  const [only, ...others] = panel.members;
  dashboard.now.value;
  const hover = dashboard.hover.value ?? dashboard.heldAt.value;
  if (only === undefined || others.length > 0 || panel.kind === 'state') {
    return null;
  }
  const value =
    hover === null ? latestOf(only.series, panel.raw) : valueAt(only.series, hover, panel.raw);
  return (
    <output class="figure">
      <Mark threshold={reached(thresholds, value)} />
      {format.value(value)}
    </output>
  );
}

/** Says when nothing comes for this panel, or less than the producer sends, and why. */
function Silence({ panel, dashboard }: { panel: Panel; dashboard: Dashboard }) {
  const now = dashboard.now.value;
  const { phase, cutSince } = dashboard.status.value;
  if (phase !== 'live') {
    return cutSince === null ? null : (
      <span class="chip silent" title="The connection to the server is cut: what is drawn is old">
        network down for {formatAge(Date.now() - cutSince)}
      </span>
    );
  }
  if (!panel.members.every(({ series }) => series.isSilent(now))) {
    const density = Math.max(...panel.members.map(({ series }) => series.density));
    const hz = dashboard.grantedHz.value;
    return density < 2 || hz === null ? null : (
      <span
        class="chip"
        title={`The producer is faster than this screen is sent: a point stands for up to ${density} samples, with their lowest and highest`}
      >
        rate lowered to {hz}/s
      </span>
    );
  }
  const last = Math.max(...panel.members.map(({ series }) => series.lastTime));
  return (
    <span class="chip silent" title="The producer fell silent: the last sample is so old">
      {Number.isFinite(last) ? `silent for ${formatAge(now - last)}` : 'no samples yet'}
    </span>
  );
}
