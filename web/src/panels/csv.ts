import type { Member, Panel } from '../store/panel.ts';
import { lineOf } from '../store/rate.ts';

/**
 * The points of some lines of a panel between two times, as RFC 4180 has it: a row for each, with a column for
 * each label. Where points stand for more than one sample there are their lowest and highest, too.
 */
export function csvOf(panel: Panel, members: readonly Member[], from: number, to: number): string {
  const labels = [...new Set(members.flatMap(({ series }) => Object.keys(series.labels)))].sort();
  const rows: (readonly unknown[])[] = [];
  let merged = false;
  for (const { series } of members) {
    const named = labels.map((label) => series.labels[label] ?? '');
    if (series.kind === 'state') {
      for (const { time, value } of series.changes) {
        if (time >= from && time <= to) {
          rows.push([new Date(time).toISOString(), series.name, ...named, value]);
        }
      }
      continue;
    }
    const { times, values, lows, highs } = lineOf(series, from, to, panel.raw);
    merged ||= lows !== null;
    for (const [at, time] of times.entries()) {
      if (time >= from && time <= to) {
        const row = [new Date(time).toISOString(), series.name, ...named, values[at]];
        rows.push(lows === null ? row : [...row, lows[at], highs![at]]);
      }
    }
  }
  const value = panel.rate ? 'per_second' : 'value';
  const head = ['time', 'metric', ...labels, value, ...(merged ? ['min', 'max'] : [])];
  return `${[head, ...rows].map((row) => row.map(field).join(',')).join('\r\n')}\r\n`;
}

/**
 * A cell. Text that a spreadsheet would run as a formula gets an apostrophe before it, as OWASP
 * advises against CSV injection; numbers stay numbers.
 */
function field(value: unknown): string {
  if (value === null || value === undefined) {
    return '';
  }
  if (typeof value === 'number') {
    return String(value);
  }
  const text = String(value);
  const safe = /^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text;
  return safe !== text || /[",\r\n\t]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
