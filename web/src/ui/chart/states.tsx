import { useSignal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Look } from '../../chart/palette.ts';
import { timeLabels, timeSplits } from '../../chart/splits.ts';
import { look } from '../../chart/theme.ts';
import type { Value } from '../../client/index.ts';
import { printable } from '../../format/printable.ts';
import { formatClock } from '../../format/time.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Member, Panel } from '../../store/panel.ts';
import type { Change } from '../../store/series.ts';

/** The rows of a panel until all are asked for. */
const FEW_ROWS = 6;
/** The most times on the axis. */
const MOST_TIMES = 6;
/** How wide a time on the axis is, with what is clear beside it, in its letters. */
const TIME_EM = 5;
/** The most segments of a row; of more, the newest. */
const MOST_SEGMENTS = 200;

/** States over time: a row for each series, a segment for each value it held. */
export function States({ panel, dashboard }: { panel: Panel; dashboard: Dashboard }) {
  const [all, setAll] = useState(false);
  const { hover } = dashboard;
  const to = dashboard.time.now.value;
  const from = to - dashboard.time.windowMs.value;
  const known = dashboard.knownUntil;
  const shown = all ? panel.members : panel.members.slice(0, FEW_ROWS);
  const hidden = panel.members.length - FEW_ROWS;
  /** The row that the keyboard is at; null for none. */
  const read = useSignal<number | null>(null);
  const said = useSignal('');
  const press = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      return;
    }
    const row = Math.min(read.value ?? 0, shown.length - 1);
    const next =
      event.key === 'Escape'
        ? hover.value !== null && leave()
        : go(event.key, shown, { row, at: hover.value }, from, to, known);
    if (next === false) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    if (next !== true) {
      read.value = next.row;
      hover.value = next.at;
      said.value = spoken(shown[next.row]!, next.at, from, to, known);
    }
  };
  const leave = (): true => {
    hover.value = null;
    read.value = null;
    said.value = '';
    return true;
  };
  const count = panel.members.length;
  return (
    <div class="states">
      {/* An application, as charts are: a reader would else keep the arrows to itself. */}
      <div
        class="rows"
        role="application"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: its states are read by keyboard.
        tabIndex={0}
        aria-roledescription="timeline"
        aria-label={`States of ${printable(panel.name)}, ${
          count === 1 ? 'one row' : `${count} rows`
        }. Left and right arrows read its states${count === 1 ? '' : ', up and down the rows'}.`}
        onKeyDown={press}
        onBlur={leave}
      >
        <ul
          onPointerMove={(event) => {
            const track = event.currentTarget.querySelector('.track')!.getBoundingClientRect();
            const share = (event.clientX - track.left) / track.width;
            hover.value = share >= 0 && share <= 1 ? from + share * (to - from) : null;
          }}
          onPointerLeave={() => (hover.value = null)}
        >
          {shown.map((member, index) => (
            <Row
              key={member.series.identity}
              read={index === read.value}
              member={member}
              from={from}
              to={to}
              known={known}
              keptSince={dashboard.keptSince}
              at={hover.value ?? dashboard.time.heldAt.value}
            />
          ))}
        </ul>
      </div>
      <p class="unseen" aria-live="polite">
        {said.value}
      </p>
      <Times from={from} to={to} />
      {hidden > 0 && (
        <button type="button" class="more" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `${hidden} more`}
        </button>
      )}
    </div>
  );
}

/** The time axis, as charts have it. */
function Times({ from, to }: { from: number; to: number }) {
  const axis = useRef<HTMLParagraphElement>(null);
  /** How many times have room. */
  const [room, setRoom] = useState(MOST_TIMES);
  useEffect(() => {
    const size = new ResizeObserver(([entry]) => {
      const letter = Number.parseFloat(getComputedStyle(entry!.target).fontSize);
      setRoom(Math.floor(entry!.contentRect.width / (letter * TIME_EM)));
    });
    size.observe(axis.current!);
    return () => size.disconnect();
  }, []);
  const times = timeSplits(from, to, Math.max(1, Math.min(room, MOST_TIMES)));
  const labels = timeLabels(times);
  const edge = 0.4 / Math.max(1, room);
  return (
    <p ref={axis} class="times" aria-hidden="true">
      {times.map((time, index) => {
        const share = (time - from) / (to - from);
        // A label that would be cut off is left out.
        return share < edge || share > 1 - edge ? null : (
          <span key={time} style={{ left: `${(share * 100).toFixed(2)}%` }}>
            {labels[index]}
          </span>
        );
      })}
    </p>
  );
}

/** The place of the keyboard: a row, and a time in it. */
interface Place {
  readonly row: number;
  readonly at: number;
}

/** The place that a key leads to; false for other keys. */
function go(
  key: string,
  members: readonly Member[],
  { row, at }: { readonly row: number; readonly at: number | null },
  from: number,
  to: number,
  known: number,
): Place | false {
  if (key === 'ArrowUp' || key === 'ArrowDown') {
    const next = row + (key === 'ArrowUp' ? -1 : at === null ? 0 : 1);
    return { row: Math.max(0, Math.min(members.length - 1, next)), at: at ?? to };
  }
  const held = segmentsOf(members[row]!, from, known);
  // At first the place is after the last segment.
  const now = at === null ? held.length : held.findLastIndex(({ start }) => start <= at);
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: now - 1,
    ArrowRight: now + 1,
    Home: 0,
    End: held.length - 1,
  };
  const index = steps[key];
  if (index === undefined) {
    return false;
  }
  const segment = held[Math.max(0, Math.min(held.length - 1, index))];
  return { row, at: segment === undefined ? to : Math.max(from, segment.start) };
}

/** The state of a row at a time, since when and until when, in words. */
function spoken(
  { series, title }: Member,
  at: number,
  from: number,
  to: number,
  known: number,
): string {
  const name = title === '' ? '' : `${printable(title)}: `;
  const held = segmentsOf({ series, title }, from, known);
  const segment = held.findLast(({ start }) => start <= at);
  if (segment === undefined || segment.end < at) {
    return `${name}nothing known at ${formatClock(at)}`;
  }
  const { start, end, value } = segment;
  const since = series.changes.findLastIndex(({ time }) => time <= start);
  const until = end < to ? `until ${formatClock(end)}` : 'until now';
  return `${name}${printable(write(value))} ${sinceOf(start, since)}, ${until}`;
}

/** The segments of a row, up to the time when it fell silent, or was last known. */
function segmentsOf({ series }: Pick<Member, 'series' | 'title'>, from: number, known: number) {
  return segments(series.changes, from, untilOf(series, known));
}

function untilOf(series: Member['series'], known: number): number {
  return series.gone || series.isSilent(known) ? Math.min(series.lastTime, known) : known;
}

interface RowProps {
  readonly member: Member;
  /** Whether the keyboard is at this row. */
  readonly read: boolean;
  readonly from: number;
  readonly to: number;
  /** Until when it is known what holds. */
  readonly known: number;
  readonly keptSince: number;
  /** The time under the pointer; null for now. */
  readonly at: number | null;
}

function Row({ member, read, from, to, known, keptSince, at }: RowProps) {
  const { series, title } = member;
  const percent = (time: number): string =>
    `${(((Math.max(time, from) - from) / (to - from)) * 100).toFixed(2)}%`;
  const until = untilOf(series, known);
  const unkept = Math.min(keptSince, series.changes[0]?.time ?? to, to);
  const held = at === null ? -1 : series.changes.findLastIndex(({ time }) => time <= at);
  const since = series.changes[held];
  const written =
    at === null || at > until
      ? write(series.latest)
      : since === undefined
        ? '–'
        : `${write(since.value)} ${sinceOf(since.time, held)}`;
  return (
    <li
      class={[series.gone || series.isSilent(to) ? 'silent' : '', read ? 'read' : '']
        .filter(Boolean)
        .join(' ')}
    >
      <span class="name" title={title}>
        {title}
      </span>
      <span class="value" title={written}>
        {written}
      </span>
      <div class="track" aria-hidden="true">
        {unkept > from && (
          <span class="unkept" title="Not kept" style={{ left: 0, width: percent(unkept) }} />
        )}
        {segmentsOf(member, from, known).map(({ start, end, value }) => (
          <span
            key={start}
            style={{
              left: percent(start),
              width: `calc(${percent(end)} - ${percent(start)})`,
              background: colourOf(value, look.value),
            }}
          />
        ))}
        {at !== null && at >= from && at <= to && (
          <span class="looked" style={{ left: percent(at) }} />
        )}
      </div>
    </li>
  );
}

/** Since when it holds. The first known value may be older than its first sample. */
function sinceOf(time: number, index: number): string {
  return `since ${index === 0 ? 'at least ' : ''}${formatClock(time)}`;
}

interface Segment {
  readonly start: number;
  readonly end: number;
  readonly value: Value;
}

/** The states within a span of time. */
export function segments(changes: readonly Change[], from: number, to: number): Segment[] {
  return changes
    .map(({ time, value }, index) => ({ start: time, end: changes[index + 1]?.time ?? to, value }))
    .filter(({ start, end }) => end > from && start < to)
    .slice(-MOST_SEGMENTS);
}

function write(value: Value | undefined): string {
  return value === undefined ? '–' : value === '' ? '(empty)' : String(value);
}

/** The same value has the same colour everywhere; null is grey. */
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
