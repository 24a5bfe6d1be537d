import { useComputed, useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useMemo, useRef } from 'preact/hooks';
import type { Picture } from '../../chart/picture.ts';
import { printing } from '../../chart/theme.ts';
import { type Format, formatOf } from '../../format/units.ts';
import { collapsed, tabular } from '../../panels/arrangement.ts';
import {
  type Panel as Description,
  type PanelKind,
  reached,
  type Threshold,
} from '../../panels/model.ts';
import { isShown } from '../../panels/shown.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Panel } from '../../store/panel.ts';
import { latestOf, valueAt } from '../../store/rate.ts';
import { Chart } from '../chart/chart.tsx';
import { type ChartKind, mostDrawn } from '../chart/chart-view.ts';
import { later } from '../later.tsx';
import { Mark } from '../mark.tsx';
import { Legend } from './legend.tsx';
import { Alone, AsTable, Fold, Save } from './tools.tsx';

/** The margin of the visible area: one screen above and below. */
const NEAR = '100% 0px';

interface CardProps {
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  /** How it is drawn, if it is described. */
  readonly description?: Description;
  /** How its values are written, if not as its unit has it. */
  readonly format?: Format;
  /** The picture of its chart, if it isn't the usual one of its kind. */
  readonly picture?: (() => Promise<Picture>) | undefined;
  /** What else is said of it, below its title. */
  readonly more?: ComponentChildren;
  /** The address of the panel alone, as others embed it. */
  readonly alone?: (() => string) | undefined;
}

/** One panel: its title, its newest value if there is only one line, the chart, and the legend. */
export function PanelCard(props: CardProps) {
  const { panel, dashboard, description, format: given, alone } = props;
  const title = useId();
  const heading = description?.title ?? panel.name;
  const id = description?.id ?? panel.key;
  const root = useRef<HTMLElement>(null);
  const seen = useSignal(false);
  /** Everything is visible on paper. */
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
  /** For a panel of a saved dashboard; on the page of all metrics the choice is saved. */
  const asTable = useSignal(false);
  const tabled = description === undefined ? tabular.has(panel.key) : asTable.value;
  const drawn = description?.kind ?? 'line';
  const wanted = tabled ? 'table' : drawn;
  const kind = panel.kind === 'state' ? 'timeline' : wanted;
  const chart = chartOf(kind);
  const listed = chart !== null && kind !== 'stat' && kind !== 'heatmap';
  /** Whether a long title is shown in full. */
  const whole = useSignal(false);
  /** The identity of the line under the pointer, or of the chosen one. */
  const focus = useSignal<string | null>(null);
  const folded = closed;
  const { unit, rate } = panel;
  const help = description?.description ?? panel.help;
  const shown = panel.members.filter((member) => isShown(id, member)).length;
  const drawable = chart === null ? shown : mostDrawn(chart);
  const usual = useMemo(() => formatOf(unit, rate), [unit, rate]);
  const format = given ?? usual;
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
            <span class="chip" title={`Change of the ${panel.kind}`}>
              per second
            </span>
          )}
          {Object.entries(panel.common).map(([name, value]) => (
            <span class="chip" key={name} title={`${name}="${value}" in all lines`}>
              {name}={value}
            </span>
          ))}
          {props.more}
          {help && <span title={help}>{help}</span>}
        </p>
      </header>
      {folded ? null : kind === 'timeline' ? (
        <States
          panel={panel}
          dashboard={dashboard}
          format={format}
          thresholds={description?.thresholds}
        />
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
              picture={props.picture}
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

/** Parts of panels other than charts are loaded when they are shown. */
const Figures = later(
  () => import('./figures.tsx'),
  ({ Figures }) => Figures,
);
const Remarks = later(
  () => import('./remarks.tsx'),
  ({ Remarks }) => Remarks,
);
const Silence = later(
  () => import('./remarks.tsx'),
  ({ Silence }) => Silence,
);
const States = later(
  () => import('../chart/states.tsx'),
  ({ States }) => States,
  // Nearly as high as they are, with six rows and a button at the most, so that little moves then.
  ({ panel }) => <div style={{ minHeight: `${3.2 * Math.min(6, panel.members.length)}rem` }} />,
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
      <span style={{ color: format.meant?.(value)?.colour }}>{format.value(value)}</span>
    </output>
  );
}
