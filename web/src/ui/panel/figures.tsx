import type { ReadonlySignal } from '@preact/signals';
import type { Format } from '../../format/units.ts';
import { type Panel, reached } from '../../panels/model.ts';
import { summaryOf } from '../../panels/summary.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Panel as Group } from '../../store/panel.ts';
import { latestOf } from '../../store/rate.ts';
import { later } from '../later.tsx';
import { DataLinks } from '../links.tsx';
import { Mark } from '../mark.tsx';
import { Dial } from './dial.tsx';
import { Table } from './table.tsx';

/** Bars and pies are loaded by those who look at one. */
const Bars = later(
  () => import('../shares/shares.tsx'),
  ({ Bars }) => Bars,
);
const Pie = later(
  () => import('../shares/shares.tsx'),
  ({ Pie }) => Pie,
);

/** The most series whose values one panel writes; of more, the first. */
const MOST_WRITTEN = 40;

interface FiguresProps {
  readonly panel: Group;
  readonly description: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  /** Whether the panel is in sight; if not, its values may be old. */
  readonly inSight: ReadonlySignal<boolean>;
}

/** Shows values as text: large figures, gauges, or a table. */
export function Figures({ panel, description, dashboard, format, inSight }: FiguresProps) {
  const to = inSight.value ? dashboard.time.now.value : dashboard.time.now.peek();
  const from = to - dashboard.time.windowMs.value;
  const { thresholds } = description;
  const shown = panel.members.slice(0, MOST_WRITTEN);
  const rest = panel.members.length - shown.length;
  const remark = rest > 0 && <p class="remark">{rest} more series are not written out.</p>;
  if (description.kind === 'table') {
    return <Table panel={panel} format={format} thresholds={thresholds} from={from} to={to} />;
  }
  if (description.kind === 'bars' || description.kind === 'pie') {
    const Shares = description.kind === 'bars' ? Bars : Pie;
    return (
      <>
        <Shares
          panel={panel}
          description={description}
          format={format}
          from={from}
          to={to}
          most={MOST_WRITTEN}
        />
        {remark}
      </>
    );
  }
  return (
    <>
      <ul class={description.kind === 'gauge' ? 'large-figures dials' : 'large-figures'}>
        {shown.map((member) => {
          const { series, title, format: written = format } = member;
          const latest = latestOf(series, panel.raw);
          const silent = series.gone || series.isSilent(to);
          const { most } = summaryOf(series, from, to, panel.raw);
          const min = description.min ?? format.bounds?.[0] ?? 0;
          const max = description.max ?? format.bounds?.[1] ?? most;
          const colour = silent ? undefined : written.meant?.(latest)?.colour;
          const threshold = silent ? null : reached(thresholds, latest);
          const dial = description.kind === 'gauge' && Number.isFinite(latest) && max > min;
          return (
            <li
              key={series.identity}
              class={[silent && 'silent', threshold?.level].filter(Boolean).join(' ')}
            >
              {dial ? (
                <Dial
                  name={title || series.name}
                  value={latest}
                  min={min}
                  max={max}
                  thresholds={thresholds ?? []}
                  level={threshold?.level ?? null}
                  fresh={!silent}
                  colour={colour}
                  text={written.value(latest)}
                  ends={
                    // Ends are of the scale, whatever a value there is shown as.
                    written.meant === undefined
                      ? [min, max].map(written.value)
                      : written.ticks([min, max])
                  }
                />
              ) : (
                <span class="large" style={{ color: colour }}>
                  <Mark threshold={threshold} /> {written.value(latest)}
                </span>
              )}
              {(title !== '' || dial) && (
                <span class="name">
                  {dial && <Mark threshold={threshold} />} {title}
                </span>
              )}
              {member.links && <DataLinks member={member} value={latest} span={{ from, to }} />}
            </li>
          );
        })}
      </ul>
      {remark}
    </>
  );
}
