import { useSignal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Look } from '../../chart/palette.ts';
import { timeLabels, timeSplits } from '../../chart/splits.ts';
import { look } from '../../chart/theme.ts';
import type { Value } from '../../client/index.ts';
import { printable } from '../../format/printable.ts';
import { formatClock } from '../../format/time.ts';
import type { Format } from '../../format/units.ts';
import { reached, type Threshold } from '../../panels/model.ts';
import { changesOf, segments, writtenState } from '../../panels/states.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Member, Panel } from '../../store/panel.ts';
import type { Change } from '../../store/series.ts';

/** The rows of a panel until all are asked for. */
const FEW_ROWS = 6;
/** The most times on the axis. */
const MOST_TIMES = 6;
/** How wide a time on the axis is, with what is clear beside it, in its letters. */
const TIME_EM = 5;

interface StatesProps {
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  readonly thresholds?: readonly Threshold[] | undefined;
}

/** What a row is drawn from, and until when it is known. */
interface Told {
  readonly member: Member;
  readonly changes: readonly Change[];
  readonly until: number;
  readonly format: Format;
}

/** States over time: a row for each series, a segment for each value it held. */
export function States({ panel, dashboard, format, thresholds }: StatesProps) {
  const [all, setAll] = useState(false);
  const { hover } = dashboard;
  const to = dashboard.time.now.value;
  const from = to - dashboard.time.windowMs.value;
  const known = dashboard.knownUntil;
  const shown = all ? panel.members : panel.members.slice(0, FEW_ROWS);
  const hidden = panel.members.length - FEW_ROWS;
  const rows = shown.map((member): Told => {
    const written = member.format ?? format;
    return {
      member,
      changes: changesOf(member.series, from, to, panel.raw, written),
      until: untilOf(member.series, known),
      format: written,
    };
  });
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
        : go(event.key, rows, { row, at: hover.value }, from, to);
    if (next === false) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    if (next !== true) {
      read.value = next.row;
      hover.value = next.at;
      said.value = spoken(rows[next.row]!, next.at, from, to);
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
          {rows.map((told, index) => (
            <Row
              key={told.member.series.identity}
              read={index === read.value}
              told={told}
              thresholds={thresholds}
              from={from}
              to={to}
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
  rows: readonly Told[],
  { row, at }: { readonly row: number; readonly at: number | null },
  from: number,
  to: number,
): Place | false {
  if (key === 'ArrowUp' || key === 'ArrowDown') {
    const next = row + (key === 'ArrowUp' ? -1 : at === null ? 0 : 1);
    return { row: Math.max(0, Math.min(rows.length - 1, next)), at: at ?? to };
  }
  const held = segmentsOf(rows[row]!, from);
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
function spoken(told: Told, at: number, from: number, to: number): string {
  const { member, changes, format } = told;
  const name = member.title === '' ? '' : `${printable(member.title)}: `;
  const held = segmentsOf(told, from);
  const segment = held.findLast(({ start }) => start <= at);
  if (segment === undefined || segment.end < at) {
    return `${name}nothing known at ${formatClock(at)}`;
  }
  const { start, end, value } = segment;
  const since = changes.findLastIndex(({ time }) => time <= start);
  const until = end < to ? `until ${formatClock(end)}` : 'until now';
  return `${name}${printable(writtenState(value, format))} ${sinceOf(start, since)}, ${until}`;
}

function segmentsOf({ changes, until }: Told, from: number) {
  return segments(changes, from, until);
}

/** When a row fell silent, or was last known. */
function untilOf(series: Member['series'], known: number): number {
  return series.gone || series.isSilent(known) ? Math.min(series.lastTime, known) : known;
}

interface RowProps {
  readonly told: Told;
  readonly thresholds: readonly Threshold[] | undefined;
  /** Whether the keyboard is at this row. */
  readonly read: boolean;
  readonly from: number;
  readonly to: number;
  readonly keptSince: number;
  /** The time under the pointer; null for now. */
  readonly at: number | null;
}

function Row({ told, thresholds, read, from, to, keptSince, at }: RowProps) {
  const { member, changes, until, format } = told;
  const { series, title } = member;
  const percent = (time: number): string =>
    `${(((Math.max(time, from) - from) / (to - from)) * 100).toFixed(2)}%`;
  const unkept = Math.min(keptSince, changes[0]?.time ?? to, to);
  const held = at === null ? -1 : changes.findLastIndex(({ time }) => time <= at);
  const since = changes[held];
  const written =
    at === null || at > until
      ? writtenState(changes.at(-1)?.value, format)
      : since === undefined
        ? '–'
        : `${writtenState(since.value, format)} ${sinceOf(since.time, held)}`;
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
        {segmentsOf(told, from).map(({ start, end, value }) => (
          <span
            key={start}
            style={{
              left: percent(start),
              width: `calc(${percent(end)} - ${percent(start)})`,
              background: colourOf(value, look.value, format, thresholds),
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

/** The same value has the same colour everywhere; what is unknown is grey. */
function colourOf(
  value: Value,
  { lines, grid, ...levels }: Look,
  format: Format,
  thresholds: readonly Threshold[] | undefined,
): string {
  const colour = format.meant?.(value)?.colour;
  if (colour !== undefined) {
    return colour;
  }
  if (value === null || Number.isNaN(value)) {
    return grid;
  }
  if (typeof value === 'boolean') {
    return lines[value ? 2 : 1]!;
  }
  if (typeof value === 'number' && thresholds !== undefined) {
    const threshold = reached(thresholds, value);
    return threshold === null ? lines[2]! : levels[threshold.level];
  }
  let hash = 0;
  for (const character of writtenState(value, format)) {
    hash = (Math.imul(hash, 31) + character.codePointAt(0)!) >>> 0;
  }
  return lines[hash % lines.length]!;
}
