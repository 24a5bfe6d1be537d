/** One series as the client holds it. */

import type { Description, Kind, Labels, Point, Value } from '../protocol/documents.ts';
import { Column } from './column.ts';

/** Points held of one series at the most, whatever its window. */
const MOST_POINTS = 50_000;

/**
 * What a series is, and what it lately was. The same object as long as the same stream brings it: it
 * may be another one after the server refused what a stream was asked for, or another tab leads.
 */
export interface SeriesView {
  readonly name: string;
  readonly labels: Labels;
  readonly kind: Kind;
  readonly unit: string;
  readonly help: string;
  /** Whether the server has dropped it, as it fell silent. It may come again. */
  readonly gone: boolean;
  /** When it ended, where that is its newest news (Unix milliseconds); null while it goes on. */
  readonly ended: number | null;
  /** Points that are held: those of the window, or of the last minute. */
  readonly length: number;
  /** Unix milliseconds, ascending. A view of what is held: valid until the next update. */
  readonly times: Float64Array;
  /** Beside `times`: a view of numbers, or for a state a copy of its values. */
  readonly values: Float64Array | readonly Value[];
  /** What merged points stand for: lowest, highest and number of samples; null if none is one. */
  readonly envelope: readonly [low: Float64Array, high: Float64Array, count: Float64Array] | null;
  /** The newest point; null before there is one. */
  readonly latest: { readonly time: number; readonly value: Value } | null;
}

/** One point as subscribers are given it; `count` samples were merged into it. */
export interface SeriesPoint {
  readonly series: SeriesView;
  /** Unix milliseconds. */
  readonly time: number;
  readonly value: Value;
  readonly min: number | null;
  readonly max: number | null;
  readonly count: number;
}

/** A series with all its points, for another tab. */
export interface SeriesCopy {
  readonly description: Description;
  readonly points: readonly Point[];
  /** Left out by a tab that was loaded before an upgrade. */
  readonly endings?: readonly number[];
}

export class Series implements SeriesView {
  readonly name: string;
  readonly labels: Labels;
  kind: Kind;
  unit: string;
  help: string;
  gone = false;
  private column: Column;
  /** When it ended, oldest first, as far back as points are held. */
  private endings: number[] = [];
  /** Points up to this time may be held already, so that they are not to come twice. */
  private doubtUntil = Number.NEGATIVE_INFINITY;
  private doubtAll = false;

  constructor({ name, labels, kind, unit, help }: Description) {
    this.name = name;
    this.labels = labels;
    this.kind = kind;
    this.unit = unit;
    this.help = help ?? '';
    this.column = new Column(MOST_POINTS, kind !== 'state');
  }

  /** The same with points of its own, for another stream to go on with. */
  clone(): Series {
    const { description, points, endings } = this.copy(0, Number.NEGATIVE_INFINITY);
    const clone = new Series(description);
    clone.endings = [...(endings ?? [])];
    clone.gone = this.gone;
    for (const point of points) {
      clone.put(point);
    }
    return clone;
  }

  get length(): number {
    return this.column.length;
  }

  get times(): Float64Array {
    return this.column.times;
  }

  get values(): Float64Array | readonly Value[] {
    return this.column.values;
  }

  get envelope(): SeriesView['envelope'] {
    return this.column.envelope;
  }

  get latest(): SeriesView['latest'] {
    const { column } = this;
    return column.length === 0 ? null : { time: column.lastTime, value: column.lastValue };
  }

  get ended(): number | null {
    const last = this.endings.at(-1);
    return last !== undefined && last > (this.latest?.time ?? Number.NEGATIVE_INFINITY)
      ? last
      : null;
  }

  /** It ended at a time. Tells whether that is news: endings are repeated as points are. */
  end(time: number): boolean {
    const at = this.endings.findIndex((one) => one >= time);
    if (this.endings[at] === time) {
      return false;
    }
    this.endings.splice(at < 0 ? this.endings.length : at, 0, time);
    return true;
  }

  describe({ kind, unit, help }: Description): void {
    if ((kind === 'state') !== (this.kind === 'state')) {
      // Another thing by the same name: its points are none of this.
      this.column = new Column(MOST_POINTS, kind !== 'state');
    }
    this.kind = kind;
    this.unit = unit;
    this.help = help ?? '';
    this.gone = false;
  }

  /**
   * What comes next may repeat what is held: a sample of a time and value that is held is that one
   * again.
   * Where samples are merged, the same ones may come as points of other times: then all up to the
   * newest that is held are taken for known.
   */
  doubt(merged: boolean): void {
    if (this.column.length > 0) {
      this.doubtUntil = Math.max(this.doubtUntil, this.column.lastTime);
      this.doubtAll = merged;
    }
  }

  /** Take a point in. Gives what subscribers are to be told; null if they have been told. */
  put(point: Point): SeriesPoint | null {
    const [, time, value, min = null, max = null, count = 1] = point;
    const alone = typeof value === 'number' ? value : Number.NaN;
    const low = min ?? alone;
    const high = max ?? alone;
    if (
      time <= this.doubtUntil &&
      (this.doubtAll || this.column.repeats(time, value, low, high, count))
    ) {
      return null;
    }
    this.column.put(time, value, low, high, count);
    return { series: this, time, value, min, max, count };
  }

  /** The points that are held, from a time on; if there are none, and unless told, the newest. */
  *points(since: number, always = true): Generator<SeriesPoint> {
    const { points } = this.copy(0, since, always);
    for (const [, time, value, min = null, max = null, count = 1] of points) {
      yield { series: this, time, value, min, max, count };
    }
  }

  copy(ref: number, since: number, always = true): SeriesCopy {
    const { name, labels, kind, unit, help, column } = this;
    const { times, values, envelope } = column;
    const points: Point[] = [];
    const found = column.find(since);
    const first = always ? Math.min(found, Math.max(0, times.length - 1)) : found;
    for (let at = first; at < times.length; at += 1) {
      const time = times[at]!;
      const value = values[at] ?? null;
      const count = envelope?.[2][at] ?? 1;
      points.push(
        count === 1
          ? [ref, time, value]
          : [ref, time, value, number(envelope![0][at]), number(envelope![1][at]), count],
      );
    }
    const endings = this.endings.filter((time) => time >= since || time === this.ended);
    return { description: { ref, name, labels, kind, unit, help }, points, endings };
  }

  trim(before: number): void {
    // The newest point stays, however old: it is how the series is now.
    this.column.trim(Math.min(before, this.column.lastTime));
    // And the newest ending, which may be what comes again after a cut.
    this.endings = this.endings.filter(
      (time, at, { length }) => time >= before || at === length - 1,
    );
  }
}

function number(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : value;
}

/** What makes two series the same one. */
export function identityOf(name: string, labels: Labels): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([name, sorted]);
}
