/** What a series was at which times, as a timeline shows it. */

import type { Value } from '../client/index.ts';
import type { Format } from '../format/units.ts';
import { type Line, lineOf } from '../store/rate.ts';
import type { Change, Series } from '../store/series.ts';

/** The most segments of a row; of more, the newest. */
const MOST_SEGMENTS = 200;

export interface Segment {
  readonly start: number;
  readonly end: number;
  readonly value: Value;
}

/** The changes of numbers that were worked out last, by series. */
const known = new WeakMap<
  Series,
  { readonly of: string; readonly format: Format; readonly changes: readonly Change[] }
>();

/**
 * The changes of a series, oldest first: of a state its own; of a number those to one that is
 * written otherwise, and to NaN where nothing is known.
 */
export function changesOf(
  series: Series,
  from: number,
  to: number,
  raw: boolean,
  format: Format,
): readonly Change[] {
  if (series.kind === 'state') {
    return series.changes;
  }
  const of = `${series.version} ${from} ${to} ${raw}`;
  const before = known.get(series);
  if (before?.of === of && before.format === format) {
    return before.changes;
  }
  const changes = changesIn(lineOf(series, from, to, raw), format, series.interval);
  known.set(series, { of, format, changes });
  return changes;
}

/** A value before a gap holds for `interval` milliseconds. */
export function changesIn(
  { times, values, gaps }: Pick<Line, 'times' | 'values' | 'gaps'>,
  format: Pick<Format, 'value'>,
  interval: number,
): readonly Change[] {
  const changes: Change[] = [];
  const breaks = new Set(gaps);
  let value = Number.NaN;
  let text: string | null = null;
  for (let at = 0; at < times.length; at += 1) {
    if (breaks.has(at - 1)) {
      changes.push({ time: Math.min(times[at - 1]! + interval, times[at]!), value: Number.NaN });
      text = null;
    }
    if (text === null || !Object.is(values[at], value)) {
      value = values[at]!;
      const next = format.value(value);
      if (next !== text) {
        text = next;
        changes.push({ time: times[at]!, value });
      }
    }
  }
  return changes;
}

/** The states within a span of time. */
export function segments(changes: readonly Change[], from: number, to: number): Segment[] {
  return changes
    .map(({ time, value }, index) => ({ start: time, end: changes[index + 1]?.time ?? to, value }))
    .filter(({ start, end }) => end > from && start < to)
    .slice(-MOST_SEGMENTS);
}

/** A value as a timeline writes it. */
export function writtenState(value: unknown, format: Format): string {
  if (typeof value === 'number') {
    return format.value(value);
  }
  return (
    format.meant?.(value)?.text ??
    (value === undefined ? '–' : value === '' ? '(empty)' : String(value))
  );
}
