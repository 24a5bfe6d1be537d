import type { Signal } from '@preact/signals';
import type { Dashboard } from '../dashboard.ts';
import type { Format } from '../format/units.ts';
import type { Panel as Group } from '../store/panel.ts';
import { latestOf, lineOf } from '../store/rate.ts';
import type { Series } from '../store/series.ts';
import { type Panel, reached, type Threshold } from './model.ts';

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

/** A threshold that was reached: a shape and a word beside the colour. */
function Mark({ threshold }: { threshold: Threshold | null }) {
  return threshold === null ? null : (
    <svg
      class={`mark ${threshold.level}`}
      viewBox="0 0 16 16"
      role="img"
      aria-label={threshold.level}
    >
      <path d={threshold.level === 'critical' ? 'M8 1l7 7-7 7-7-7z' : 'M8 2l7 12H1z'} />
    </svg>
  );
}

export interface Summary {
  /** NaN, as are the others, where there is no point within the time. */
  readonly least: number;
  readonly most: number;
  /** Of the points as they are drawn, each counting the same. */
  readonly mean: number;
}

/** What a series did within a span of time, a counter as its rate unless it is wanted `raw`. */
export function summaryOf(series: Series, from: number, to: number, raw = false): Summary {
  const { times, values, lows, highs } = lineOf(series, from, to, raw);
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let count = 0;
  for (let at = 0; at < times.length; at += 1) {
    if (times[at]! >= from && times[at]! <= to) {
      least = Math.min(least, (lows ?? values)[at]!);
      most = Math.max(most, (highs ?? values)[at]!);
      sum += values[at]!;
      count += 1;
    }
  }
  return count === 0
    ? { least: Number.NaN, most: Number.NaN, mean: Number.NaN }
    : { least, most, mean: sum / count };
}
