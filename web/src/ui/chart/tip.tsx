import { printable } from '../../format/printable.ts';
import { formatClock } from '../../format/time.ts';
import type { Format } from '../../format/units.ts';
import { type Reading, readingsAt } from '../../panels/reading.ts';
import type { Dashboard, Freshness } from '../../state/dashboard.ts';
import type { Panel } from '../../store/panel.ts';
import { Swatch } from '../swatch.tsx';

/** The most lines whose values are shown; of more, the highest. */
const MOST_READ = 8;
/** The most lines that are spoken, as many as a listener can remember. */
const MOST_SPOKEN = 5;

const STATES: Readonly<Record<Freshness, string>> = {
  connecting: 'connecting',
  live: '',
  stale: 'stale: no samples come',
  cut: 'cut: not connected',
  refused: 'refused by the server',
};

interface TipProps {
  /** The id of the panel, by which the choice of lines is saved. */
  readonly id: string;
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
}

/**
 * The values at the time under the pointer, which may be in another panel. The chart puts it in its
 * place.
 */
export function Tip({ id, panel, dashboard, format }: TipProps) {
  const time = dashboard.hover.value;
  const to = dashboard.time.now.value;
  if (time === null || time < to - dashboard.time.windowMs.value) {
    return null;
  }
  const readings = readingsAt(id, panel, time, dashboard.time.liveEdge);
  const rest = readings.length - MOST_READ;
  const state = STATES[dashboard.freshness.value];
  return (
    <div class="tip" aria-hidden="true">
      <p>
        <strong>{formatClock(time)}</strong>
        {state !== '' && <span class="chip silent">{state}</span>}
      </p>
      <ul>
        {readings.slice(0, MOST_READ).map((reading) => (
          <Line key={reading.member.series.identity} reading={reading} format={format} />
        ))}
      </ul>
      {rest > 0 && <p class="remark">{rest} more, lower or without a sample</p>}
      {readings.length === 0 && <p class="remark">all lines are hidden</p>}
    </div>
  );
}

function Line({ reading, format }: { reading: Reading; format: Format }) {
  const { member, value, state } = reading;
  const { format: written = format } = member;
  return (
    <li class={state}>
      <Swatch colour={member.colour} />
      <span class="name">{nameOf(reading)}</span>
      {state !== '' && <span class="state">{state}</span>}
      {!Number.isNaN(value) && (
        <span class="value" style={{ color: written.meant?.(value)?.colour }}>
          {written.value(value)}
        </span>
      )}
    </li>
  );
}

/** The values of a panel's lines at a time as a sentence, for screen readers. */
export function spoken({ id, panel, dashboard, format }: TipProps, time: number): string {
  const readings = readingsAt(id, panel, time, dashboard.time.liveEdge);
  const rest = readings.length - MOST_SPOKEN;
  const words = readings.slice(0, MOST_SPOKEN).map((reading) => {
    const { member, value, state } = reading;
    const { format: written = format } = member;
    const said = [Number.isNaN(value) ? '' : written.value(value), state].filter(Boolean);
    return `${panel.members.length > 1 ? `${nameOf(reading)} ` : ''}${said.join(', ')}`;
  });
  return `${formatClock(time)}: ${words.join('; ')}${rest > 0 ? `; ${rest} more` : ''}`;
}

function nameOf({ member: { series, title } }: Reading): string {
  return printable(title || series.name);
}
