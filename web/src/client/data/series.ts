/** One series as the client holds it. */

import type { Description, Kind, Labels, Point, Value } from '../protocol/documents.ts';
import { Column } from './column.ts';

/** Points held of one series at the most, whatever its window. */
const MOST_POINTS = 50_000;

/**
 * A series and its latest points. It is the same object as long as the same stream brings it. It
 * may be another object after the server refused a selector of that stream, or after another tab
 * took over.
 */
export interface SeriesView {
  readonly name: string;
  readonly labels: Labels;
  readonly kind: Kind;
  readonly unit: string;
  readonly help: string;
  /** Whether the server has dropped it because nothing came. It may come back. */
  readonly gone: boolean;
  /** When it ended (Unix milliseconds); null while it goes on, and when it has gone on since. */
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
  /** The times at which it ended. */
  readonly endings: readonly number[];
}

export class Series implements SeriesView {
  readonly name: string;
  readonly labels: Labels;
  kind: Kind;
  unit: string;
  help: string;
  gone = false;
  readonly #expression: boolean | undefined;
  #column: Column;
  /** The times at which it ended, oldest first, as far back as points are held. */
  #endings: number[] = [];
  /** Points up to this time may be held already: each is checked before it is added. */
  #repeatsUntil = Number.NEGATIVE_INFINITY;
  #repeatsMerged = false;

  constructor({ name, labels, kind, unit, help, expression }: Description) {
    this.name = name;
    this.labels = labels;
    this.kind = kind;
    this.unit = unit;
    this.help = help ?? '';
    this.#expression = expression;
    this.#column = new Column(MOST_POINTS, kind !== 'state');
  }

  /** A copy with points of its own, for another stream to continue. */
  clone(): Series {
    const { description, points, endings } = this.copy(0, Number.NEGATIVE_INFINITY);
    const clone = new Series(description);
    clone.#endings = [...endings];
    clone.gone = this.gone;
    for (const point of points) {
      clone.put(point);
    }
    return clone;
  }

  get length(): number {
    return this.#column.length;
  }

  get times(): Float64Array {
    return this.#column.times;
  }

  get values(): Float64Array | readonly Value[] {
    return this.#column.values;
  }

  get envelope(): SeriesView['envelope'] {
    return this.#column.envelope;
  }

  get latest(): SeriesView['latest'] {
    const column = this.#column;
    return column.length === 0 ? null : { time: column.lastTime, value: column.lastValue };
  }

  get ended(): number | null {
    const last = this.#endings.at(-1);
    return last !== undefined && last > (this.latest?.time ?? Number.NEGATIVE_INFINITY)
      ? last
      : null;
  }

  /** It ended at a time. False if that is known: endings are repeated as points are. */
  end(time: number): boolean {
    const at = this.#endings.findIndex((one) => one >= time);
    if (this.#endings[at] === time) {
      return false;
    }
    this.#endings.splice(at < 0 ? this.#endings.length : at, 0, time);
    return true;
  }

  describe({ kind, unit, help }: Description): void {
    if ((kind === 'state') !== (this.kind === 'state')) {
      // It is something else under the same name: the points that are held are not its own.
      this.#column = new Column(MOST_POINTS, kind !== 'state');
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
  expectRepeats(merged: boolean): void {
    if (this.#column.length > 0) {
      this.#repeatsUntil = Math.max(this.#repeatsUntil, this.#column.lastTime);
      this.#repeatsMerged = merged;
    }
  }

  /** Add a point. Gives what subscribers are told; null for a point that is held already. */
  put(point: Point): SeriesPoint | null {
    const [, time, value, min = null, max = null, count = 1] = point;
    const alone = typeof value === 'number' ? value : Number.NaN;
    const low = min ?? alone;
    const high = max ?? alone;
    if (
      time <= this.#repeatsUntil &&
      (this.#repeatsMerged || this.#column.repeats(time, value, low, high, count))
    ) {
      return null;
    }
    this.#column.put(time, value, low, high, count);
    return { series: this, time, value, min, max, count };
  }

  /** The points that are held from a time on. If there are none and `always` is set, the newest. */
  *points(since: number, always = true): Generator<SeriesPoint> {
    const { points } = this.copy(0, since, always);
    for (const [, time, value, min = null, max = null, count = 1] of points) {
      yield { series: this, time, value, min, max, count };
    }
  }

  copy(ref: number, since: number, always = true): SeriesCopy {
    const { name, labels, kind, unit, help } = this;
    const expression = this.#expression;
    const column = this.#column;
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
    const endings = this.#endings.filter((time) => time >= since || time === this.ended);
    return { description: { ref, name, labels, kind, unit, help, expression }, points, endings };
  }

  trim(before: number): void {
    // The newest point stays, however old: it is how the series is now.
    this.#column.trim(Math.min(before, this.#column.lastTime));
    // So does the newest ending, which may be repeated after a cut.
    this.#endings = this.#endings.filter(
      (time, at, { length }) => time >= before || at === length - 1,
    );
  }
}

function number(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : value;
}

/** The same text for two series exactly if they are the same. */
export function identityOf(name: string, labels: Labels): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([name, sorted]);
}
