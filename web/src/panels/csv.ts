import type { Member, Panel } from '../store/panel.ts';
import { lineOf } from '../store/rate.ts';

/**
 * The points of a panel's lines between two times as CSV (RFC 4180): a row for each point, with a
 * column for each label. If points stand for more than one sample, there are columns for their
 * lowest and highest, too.
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
 * One cell. Text that a spreadsheet would run as a formula gets an apostrophe in front, as OWASP
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
