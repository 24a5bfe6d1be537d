import { useState } from 'preact/hooks';
import type { Look } from '../chart/palette.ts';
import type { Value } from '../client/index.ts';
import type { Dashboard } from '../dashboard.ts';
import { formatClock } from '../format/time.ts';
import type { Member, Panel } from '../store/panel.ts';
import type { Change } from '../store/series.ts';
import { look } from '../theme.ts';

/** Rows of a panel until all are asked for. */
const FEW_ROWS = 6;
/** Segments of a row: of more, the newest. */
const MOST_SEGMENTS = 200;

/** States over time: a row for each series, a segment for each value it held. */
export function States({ panel, dashboard }: { panel: Panel; dashboard: Dashboard }) {
  const [all, setAll] = useState(false);
  const to = dashboard.now.value;
  const from = to - dashboard.windowMs.value;
  const shown = all ? panel.members : panel.members.slice(0, FEW_ROWS);
  const hidden = panel.members.length - FEW_ROWS;
  return (
    <div class="states">
      <ul>
        {shown.map((member) => (
          <Row key={member.series.identity} member={member} from={from} to={to} />
        ))}
      </ul>
      {hidden > 0 && (
        <button type="button" class="more" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `${hidden} more`}
        </button>
      )}
    </div>
  );
}

function Row({ member, from, to }: { member: Member; from: number; to: number }) {
  const { series, title } = member;
  const percent = (time: number): string =>
    `${(((Math.max(time, from) - from) / (to - from)) * 100).toFixed(2)}%`;
  // What it holds is known until it falls silent, not beyond.
  const until = series.gone || series.isSilent(to) ? series.lastTime : to;
  return (
    <li>
      <span class="name" title={title}>
        {title}
      </span>
      <span class="value" title={write(series.latest)}>
        {write(series.latest)}
      </span>
      <div class="track" aria-hidden="true">
        {segments(series.changes, from, until).map(({ start, end, value }) => (
          <span
            key={start}
            style={{
              left: percent(start),
              width: `calc(${percent(end)} - ${percent(start)})`,
              background: colourOf(value, look.value),
            }}
            title={`${write(value)} since ${formatClock(start)}`}
          />
        ))}
      </div>
    </li>
  );
}

interface Segment {
  readonly start: number;
  readonly end: number;
  readonly value: Value;
}

/** What was held when, within a span of time. */
export function segments(changes: readonly Change[], from: number, to: number): Segment[] {
  return changes
    .map(({ time, value }, index) => ({ start: time, end: changes[index + 1]?.time ?? to, value }))
    .filter(({ start, end }) => end > from && start < to)
    .slice(-MOST_SEGMENTS);
}

function write(value: Value | undefined): string {
  return value === undefined ? '–' : value === '' ? '(empty)' : String(value);
}

/** The same value has the same colour everywhere; null has none of its own. */
function colourOf(value: Value, { lines, grid }: Look): string {
  if (value === null) {
    return grid;
  }
  if (typeof value === 'boolean') {
    return lines[value ? 2 : 1]!;
  }
  let hash = 0;
  for (const character of String(value)) {
    hash = (Math.imul(hash, 31) + character.codePointAt(0)!) >>> 0;
  }
  return lines[hash % lines.length]!;
}
