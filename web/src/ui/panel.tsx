import { useSignal } from '@preact/signals';
import { useId } from 'preact/hooks';
import type { Dashboard } from '../dashboard.ts';
import { formatAge } from '../format/time.ts';
import { type Format, formatOf } from '../format/units.ts';
import type { Panel } from '../store/panel.ts';
import { isRate, latestOf, valueAt } from '../store/rate.ts';
import { Chart, MOST_DRAWN } from './chart.tsx';
import { Legend } from './legend.tsx';
import { States } from './states.tsx';

/** One panel: what it is, its newest value if there is one line, the chart, the legend. */
export function PanelCard({ panel, dashboard }: { panel: Panel; dashboard: Dashboard }) {
  const title = useId();
  /** Identity of the line that is looked at, by pointer or by choice. */
  const focus = useSignal<string | null>(null);
  const format = formatOf(panel.unit, isRate(panel.kind));
  return (
    <section class="panel" aria-labelledby={title}>
      <header>
        <div class="title">
          <h3 id={title}>{panel.name}</h3>
          <Single panel={panel} dashboard={dashboard} format={format} />
        </div>
        <p class="about">
          <Silence panel={panel} dashboard={dashboard} />
          {isRate(panel.kind) && (
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
      {panel.kind === 'state' ? (
        <States panel={panel} dashboard={dashboard} />
      ) : (
        <>
          <Chart panel={panel} dashboard={dashboard} format={format} focus={focus} />
          {panel.members.length > 1 && (
            <Legend panel={panel} dashboard={dashboard} format={format} focus={focus} />
          )}
          {panel.members.length > MOST_DRAWN && (
            <p class="remark">
              {MOST_DRAWN} of {panel.members.length} lines are drawn: those that are highest now.
            </p>
          )}
        </>
      )}
    </section>
  );
}

/** The value of a panel's only line, now or where the pointer is. */
function Single({
  panel,
  dashboard,
  format,
}: {
  panel: Panel;
  dashboard: Dashboard;
  format: Format;
}) {
  const [only, ...others] = panel.members;
  dashboard.now.value;
  const hover = dashboard.hover.value;
  if (only === undefined || others.length > 0 || panel.kind === 'state') {
    return null;
  }
  const value = hover === null ? latestOf(only.series) : valueAt(only.series, hover);
  return <output class="figure">{format.value(value)}</output>;
}

/** Says when nothing comes for this panel although the connection is well. */
function Silence({ panel, dashboard }: { panel: Panel; dashboard: Dashboard }) {
  const now = dashboard.now.value;
  if (dashboard.status.value.phase !== 'live') {
    return null;
  }
  if (!panel.members.every(({ series }) => series.isSilent(now))) {
    return null;
  }
  const last = Math.max(...panel.members.map(({ series }) => series.lastTime));
  return (
    <span class="chip silent" title="The producer fell silent: the last sample is so old">
      {Number.isFinite(last) ? `silent for ${formatAge(now - last)}` : 'no samples yet'}
    </span>
  );
}
