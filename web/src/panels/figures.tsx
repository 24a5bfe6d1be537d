import type { Signal } from '@preact/signals';
import type { Dashboard } from '../dashboard.ts';
import type { Format } from '../format/units.ts';
import type { Panel as Group } from '../store/panel.ts';
import { latestOf } from '../store/rate.ts';
import { Mark } from './mark.tsx';
import { type Panel, reached } from './model.ts';
import { summaryOf } from './summary.ts';

/** Series that one panel writes out; of more, the first. */
const MOST_WRITTEN = 40;

interface FiguresProps {
  readonly panel: Group;
  readonly description: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  /** Whether the panel is in sight: else the values may be old. */
  readonly inSight: Signal<boolean>;
}

/** Values as text: large ones, gauges, or a table of them. */
export function Figures({ panel, description, dashboard, format, inSight }: FiguresProps) {
  const to = inSight.value ? dashboard.now.value : dashboard.now.peek();
  const from = to - dashboard.windowMs.value;
  const { thresholds } = description;
  const shown = panel.members.slice(0, MOST_WRITTEN);
  const rest = panel.members.length - shown.length;
  const remark = rest > 0 && <p class="remark">{rest} more series are not written out.</p>;
  if (description.kind === 'table') {
    return (
      <div class="figures-table">
        <table>
          <thead>
            <tr>
              {['series', 'last', 'min', 'max', 'mean'].map((heading) => (
                <th key={heading} scope="col">
                  {heading}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map(({ series, title }) => {
              const { least, most, mean } = summaryOf(series, from, to, panel.raw);
              const latest = latestOf(series, panel.raw);
              return (
                <tr key={series.identity}>
                  <th scope="row">{title || series.name}</th>
                  <td>
                    <Mark threshold={reached(thresholds, latest)} /> {format.value(latest)}
                  </td>
                  <td>{format.value(least)}</td>
                  <td>{format.value(most)}</td>
                  <td>{format.value(mean)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
        {remark}
      </div>
    );
  }
  return (
    <>
      <ul class="large-figures">
        {shown.map(({ series, title }) => {
          const latest = latestOf(series, panel.raw);
          const silent = series.gone || series.isSilent(to);
          const { most } = summaryOf(series, from, to, panel.raw);
          const min = description.min ?? format.bounds?.[0] ?? 0;
          const max = description.max ?? format.bounds?.[1] ?? most;
          return (
            <li key={series.identity} class={silent ? 'silent' : ''}>
              <span class="large">
                <Mark threshold={reached(thresholds, latest)} /> {format.value(latest)}
              </span>
              {description.kind === 'gauge' && Number.isFinite(latest) && max > min && (
                <meter
                  min={min}
                  max={max}
                  value={latest}
                  aria-label={title || series.name}
                  title={`${format.value(min)} to ${format.value(max)}`}
                />
              )}
              {title !== '' && <span class="name">{title}</span>}
            </li>
          );
        })}
      </ul>
      {remark}
    </>
  );
}
