import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useId, useMemo, useRef } from 'preact/hooks';
import { printing } from '../../chart/theme.ts';
import { type Format, formatOf } from '../../format/units.ts';
import { collapsed, tabular } from '../../panels/arrangement.ts';
import {
  type Panel as Description,
  type PanelKind,
  reached,
  type Threshold,
} from '../../panels/model.ts';
import { select } from '../../panels/selection.ts';
import { isShown } from '../../panels/shown.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Panel } from '../../store/panel.ts';
import { latestOf, valueAt } from '../../store/rate.ts';
import { Chart } from '../chart/chart.tsx';
import { type ChartKind, mostDrawn } from '../chart/chart-view.ts';
import { later } from '../later.tsx';
import { Legend } from './legend.tsx';
import { Mark } from './mark.tsx';
import { Alone, AsTable, Fold, Save } from './tools.tsx';

/** A screen above and below what is in sight. */
const NEAR = '100% 0px';

interface ViewProps {
  readonly panel: Description;
  readonly dashboard: Dashboard;
  /** Where it is shown alone, as others embed it. */
  readonly alone?: (() => string) | undefined;
}

/** A panel as it was described: drawn from the series that its selector means. */
export function PanelView({ panel, dashboard, alone }: ViewProps) {
  const group = useRef<Panel | null>(null);
  group.current = select(dashboard.panels.value, panel, group.current);
  return group.current === null ? (
    <Words panel={panel} dashboard={dashboard} />
  ) : (
    <PanelCard panel={group.current} description={panel} dashboard={dashboard} alone={alone} />
  );
}

interface CardProps {
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  /** How it is to be drawn, where somebody said so. */
  readonly description?: Description;
  readonly alone?: (() => string) | undefined;
}

/** One panel: what it is, its newest value if there is one line, the chart, the legend. */
export function PanelCard({ panel, dashboard, description, alone }: CardProps) {
  const title = useId();
  const heading = description?.title ?? panel.name;
  const id = description?.id ?? panel.key;
  const root = useRef<HTMLElement>(null);
  const seen = useSignal(false);
  /** On paper all is seen. */
  const inSight = useComputed(() => seen.value || printing.value);
  useEffect(() => {
    const sight = new IntersectionObserver(([entry]) => {
      seen.value = entry!.isIntersecting;
    });
    sight.observe(root.current!);
    return () => sight.disconnect();
  }, []);
  const found = description === undefined;
  const closed = found && collapsed.has(panel.key);
  useEffect(() => {
    if (!found || closed) {
      return;
    }
    let near = false;
    const change = (is: boolean): void => {
      if (is !== near) {
        near = is;
        dashboard.approach(panel.name, is);
      }
    };
    const nearby = new IntersectionObserver((entries) => change(entries.at(-1)!.isIntersecting), {
      rootMargin: NEAR,
    });
    nearby.observe(root.current!);
    return () => {
      nearby.disconnect();
      change(false);
    };
  }, [found, closed, panel.name]);
  /** Of a dashboard's panel; what is found by itself keeps that choice. */
  const asTable = useSignal(false);
  const tabled = description === undefined ? tabular.has(panel.key) : asTable.value;
  const drawn = description?.kind ?? 'line';
  const wanted = tabled ? 'table' : drawn;
  const kind = panel.kind === 'state' ? 'timeline' : wanted === 'timeline' ? 'line' : wanted;
  const chart = chartOf(kind);
  const listed = chart !== null && kind !== 'stat' && kind !== 'heatmap';
  /** Whether all of a long title is shown. */
  const whole = useSignal(false);
  /** Identity of the line that is looked at, by pointer or by choice. */
  const focus = useSignal<string | null>(null);
  const folded = closed;
  const unit = description?.unit ?? panel.unit;
  const { rate } = panel;
  const help = description?.description ?? panel.help;
  const shown = panel.members.filter((member) => isShown(id, member)).length;
  const drawable = chart === null ? shown : mostDrawn(chart);
  const { decimals, min, max } = description ?? {};
  const format = useMemo(() => {
    const usual = formatOf(unit, rate, decimals);
    return min === undefined || max === undefined ? usual : { ...usual, bounds: [min, max] };
  }, [unit, rate, decimals, min, max]) as Format;
  return (
    <article ref={root} class={folded ? 'panel folded' : 'panel'} aria-labelledby={title}>
      <header>
        <div class="title">
          {/* biome-ignore lint/a11y/useKeyWithClickEvents: all of the title is there to be heard; a
              tab stop for each panel would be in everybody's way. */}
          <h3
            id={title}
            class={[description?.title && 'human', whole.value && 'whole']
              .filter(Boolean)
              .join(' ')}
            title={heading}
            onClick={() => (whole.value = !whole.value)}
          >
            {heading}
          </h3>
          {listed && (
            <Single
              panel={panel}
              dashboard={dashboard}
              format={format}
              thresholds={description?.thresholds}
            />
          )}
          <span class="fold">
            <Save
              id={id}
              title={heading}
              panel={panel}
              dashboard={dashboard}
              format={format}
              drawn={chart !== null && !folded}
            />
            {panel.kind !== 'state' && drawn !== 'table' && (
              <AsTable
                title={heading}
                pressed={tabled}
                onToggle={() => {
                  if (description === undefined) {
                    tabular.toggle(panel.key);
                  } else {
                    asTable.value = !tabled;
                  }
                }}
              />
            )}
            {alone !== undefined && <Alone title={heading} href={alone} />}
            {description === undefined && <Fold panel={panel} />}
          </span>
        </div>
        <p class="about">
          <Silence panel={panel} dashboard={dashboard} description={description} />
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
          {help && <span title={help}>{help}</span>}
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
              description={{ id: panel.key, select: panel.name, ...description, kind }}
              inSight={inSight}
            />
          )}
          {chart !== null && (
            <Chart
              id={id}
              panel={panel}
              dashboard={dashboard}
              format={format}
              focus={focus}
              inSight={inSight}
              kind={chart}
              by={description?.by}
              thresholds={description?.thresholds}
            />
          )}
          {listed && panel.members.length > 1 && (
            <Legend
              id={id}
              panel={panel}
              dashboard={dashboard}
              format={format}
              focus={focus}
              inSight={inSight}
              thresholds={description?.thresholds}
            />
          )}
          {(panel.omitted.size > 0 || drawable < shown) && (
            <Remarks panel={panel} select={description?.select} shown={shown} drawn={drawable} />
          )}
        </>
      )}
    </article>
  );
}

/** What of a panel isn't a chart is loaded for those who look at one. */
const Figures = later(
  () => import('./figures.tsx'),
  ({ Figures }) => Figures,
);
const Remarks = later(
  () => import('./remarks.tsx'),
  ({ Remarks }) => Remarks,
);
const Words = later(
  () => import('./words.tsx'),
  ({ Words }) => Words,
);
const Silence = later(
  () => import('./remarks.tsx'),
  ({ Silence }) => Silence,
);
const States = later(
  () => import('../chart/states.tsx'),
  ({ States }) => States,
);

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
  dashboard.time.now.value;
  const hover = dashboard.hover.value ?? dashboard.time.heldAt.value;
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
