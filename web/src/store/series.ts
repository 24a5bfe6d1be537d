import type { Description, Kind, Labels, Value } from '../client/index.ts';
import { Column } from './column.ts';

/** The most points kept of one series: an hour at 10 Hz. */
export const MOST_POINTS = 36_000;

/** A series with only one sample is silent after this many milliseconds without another. */
const UNKNOWN_INTERVAL_MS = 60_000;
/** Milliseconds that frames may be late by, in addition to two usual intervals. */
export const LATE_MS = 400;
const LEAST_GAP_MS = 2_000;
/**
 * The number of intervals that the usual one is taken from; later intervals change it only slowly.
 */
const FIRST_STEPS = 7;

/** A change of a state: its value since `time`. */
export interface Change {
  readonly time: number;
  readonly value: Value;
}

/** Name and labels as one string, equal exactly if both are. */
export function identityOf(name: string, labels: Labels): string {
  return JSON.stringify([name, ...Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

/** The description of a series, as in a stream or in the list. */
export type Described = Omit<Description, 'ref'> & { readonly ref?: number };

/** What an expression gives is drawn as it is, also where that is a counter. */
const kindOf = ({ expression, kind }: Described): Kind => (expression ? 'gauge' : kind);

/** One series as the page knows it. It stays across refs, epochs and connections. */
export class Series {
  readonly identity: string;
  readonly name: string;
  readonly labels: Labels;
  kind: Kind;
  unit: string;
  help: string;
  /** Its points, unless it is a state. */
  readonly column = new Column(MOST_POINTS);
  /** Changes of a state, oldest first. */
  changes: Change[] = [];
  /** The time of its newest sample; NaN before the first. */
  lastTime = Number.NaN;
  /** When its newest sample arrived, by the clock of this browser. */
  heardAt = Number.NEGATIVE_INFINITY;
  /** The usual milliseconds between two samples; 0 while unknown. */
  interval = 0;
  /** How many samples a point stood for lately: more than one if the server merges them. */
  density = 1;
  /** The server has dropped it. It is shown until its points have left the window. */
  gone = false;
  /** Whether the stream is asked for it. Otherwise no samples are expected. */
  watched = true;
  /** Counts changes, so that a reader can tell whether something is new. */
  version = 0;
  /** Counts changes other than points after the newest. */
  edits = 0;

  /** Times of points after which the line is interrupted, because samples may be missing. */
  #breaks: number[] = [];
  /** Times at which it ended, oldest first. */
  #ends: number[] = [];
  /** The first intervals between samples; their median becomes the usual interval. */
  readonly #first: number[] = [];
  /** Points before this time come from a thinned history, at most `thinnedInterval` apart. */
  #thinnedBefore = Number.NEGATIVE_INFINITY;
  #thinnedInterval = 0;
  /** Points up to this time may arrive a second time. */
  #repeatsUntil = Number.NEGATIVE_INFINITY;
  /** The times of those that have arrived a second time. */
  readonly #retold = new Set<number>();

  constructor(description: Described) {
    this.identity = identityOf(description.name, description.labels);
    this.name = description.name;
    this.labels = description.labels;
    this.kind = kindOf(description);
    this.unit = description.unit;
    this.help = description.help ?? '';
  }

  describe(description: Described): void {
    this.kind = kindOf(description);
    this.unit = description.unit;
    this.help = description.help ?? '';
    this.gone = false;
  }

  /**
   * Add a point; `low` and `high` are null if it stands for one sample. `fresh` says that it was
   * just published, whatever its time. A point of a thinned history stands for `thinned`
   * milliseconds, and does not count for the usual interval.
   */
  put(
    time: number,
    value: Value,
    low: number | null = null,
    high: number | null = null,
    fresh = true,
    thinned = 0,
  ): void {
    this.version += 1;
    if (thinned > 0 || !(time > this.lastTime)) {
      this.edits += 1;
    }
    if (fresh) {
      this.heardAt = Date.now();
    }
    if (this.kind === 'state') {
      this.#change(time, value);
    } else if (typeof value === 'number') {
      const before = this.kind === 'delta' ? this.#countedAt(time) : 0;
      if (before === 0) {
        this.column.put(time, value, low ?? value, high ?? value);
      } else {
        this.column.put(time, before + value);
      }
    }
    if (thinned > 0) {
      this.#thinnedBefore = Math.max(this.#thinnedBefore, time + 1);
      this.#thinnedInterval = thinned;
    }
    if (time > this.lastTime || Number.isNaN(this.lastTime)) {
      this.#learn(thinned > 0 ? Number.NaN : time - this.lastTime);
      this.lastTime = time;
    }
  }

  /** The points that follow may repeat earlier ones. */
  expectRepeats(): void {
    this.#repeatsUntil = this.lastTime;
    this.#retold.clear();
  }

  /**
   * The sum of this time's deltas so far, to which the next is added; 0 if the next is a
   * repetition.
   */
  #countedAt(time: number): number {
    if (!(time <= this.lastTime)) {
      return 0;
    }
    if (time <= this.#repeatsUntil && !this.#retold.has(time)) {
      this.#retold.add(time);
      return 0;
    }
    return this.column.valueAt(time);
  }

  /** Replace the points from one time to another by points of a finer history. */
  refine(from: number, to: number, points: readonly (readonly [number, Value])[]): void {
    const numbers = this.#counted(points);
    if (this.kind !== 'state' && numbers.length > 0) {
      this.column.replace(from, to, numbers);
      this.version += 1;
      this.edits += 1;
    }
  }

  /** Add points of an older history, thinned to at most `interval` milliseconds apart. */
  backfill(points: readonly (readonly [number, Value])[], interval: number): void {
    const before = this.kind === 'state' ? this.changes[0]?.time : this.column.firstTime;
    const older = points.filter(([time]) => !(time >= (before ?? Number.NaN)));
    if (this.kind === 'state') {
      for (const [time, value] of older) {
        this.#change(time, value);
      }
    } else {
      for (const [time, value] of this.#counted(older)) {
        this.column.put(time, value);
      }
    }
    if (older.length > 0) {
      this.#thinnedBefore = Math.max(this.#thinnedBefore, before ?? older.at(-1)![0]);
      this.#thinnedInterval = interval;
      this.version += 1;
      this.edits += 1;
      if (Number.isNaN(this.lastTime)) {
        this.lastTime = older.at(-1)![0];
      }
    }
  }

  /** Add numeric points; deltas of the same time are summed. */
  #counted(points: readonly (readonly [number, Value])[]): (readonly [number, number])[] {
    const numbers = points.filter(
      (point): point is readonly [number, number] => typeof point[1] === 'number',
    );
    if (this.kind !== 'delta') {
      return numbers;
    }
    const sums = new Map<number, number>();
    for (const [time, value] of numbers) {
      sums.set(time, (sums.get(time) ?? 0) + value);
    }
    return [...sums];
  }

  /** Samples may be missing between the newest point and the next one. */
  break(): void {
    if (!Number.isNaN(this.lastTime) && this.#breaks.at(-1) !== this.lastTime) {
      this.#breaks.push(this.lastTime);
      this.version += 1;
      this.edits += 1;
    }
  }

  /**
   * It ended at a time: its producer said so, or published null. The line is interrupted there, and
   * continues with the next point by time.
   */
  end(time: number): void {
    const at = this.#ends.findIndex((one) => one >= time);
    if (at < 0) {
      this.#ends.push(time);
    } else if (this.#ends[at] !== time) {
      this.#ends.splice(at, 0, time);
    }
    if (this.kind === 'state') {
      this.#change(time, null);
    }
    this.version += 1;
    this.edits += 1;
  }

  /** Whether it has ended and not continued since. */
  get ended(): boolean {
    return (this.#ends.at(-1) ?? Number.NEGATIVE_INFINITY) > this.lastTime;
  }

  /** Whether the time between two neighbouring points is unknown. */
  isGap(time: number, next: number): boolean {
    if (this.#breaks.some((at) => time <= at && at < next)) {
      return true;
    }
    if (this.#ends.some((at) => time < at && at < next)) {
      return true;
    }
    const usual = time < this.#thinnedBefore ? this.#thinnedInterval : 0;
    return next - time > Math.max(LEAST_GAP_MS, 4 * Math.max(usual, this.interval));
  }

  /** The indexes of points that a gap follows. */
  gapsOf(times: Float64Array): number[] {
    const least = Math.max(LEAST_GAP_MS, 4 * this.interval);
    const breaks = this.#breaks.length > 0 || this.#ends.length > 0;
    const gaps: number[] = [];
    for (let index = 1; index < times.length; index += 1) {
      const time = times[index - 1]!;
      const next = times[index]!;
      // Only few points need the full comparison.
      if ((breaks || next - time > least) && this.isGap(time, next)) {
        gaps.push(index - 1);
      }
    }
    return gaps;
  }

  /**
   * Whether no sample arrived for two usual intervals, at a time by the samples' clock. Late
   * samples count as well. A state is only sent when it changes, so it is never silent.
   */
  isSilent(now: number): boolean {
    if (this.ended) {
      return true;
    }
    if (!this.watched) {
      return false;
    }
    if (this.kind === 'state' && !Number.isNaN(this.lastTime)) {
      return false;
    }
    const patience = this.interval === 0 ? UNKNOWN_INTERVAL_MS : 2 * this.interval + LATE_MS;
    return now - this.lastTime > patience && Date.now() - this.heardAt > patience;
  }

  /** Forget all points if there are several: its history comes again. */
  forget(): void {
    if (this.column.length <= 1 && this.changes.length <= 1) {
      return;
    }
    this.column.trim(Number.POSITIVE_INFINITY);
    this.changes = [];
    this.#breaks = [];
    this.#ends = [];
    this.lastTime = Number.NaN;
    this.#thinnedBefore = Number.NEGATIVE_INFINITY;
    this.version += 1;
  }

  /** Forget what was before a time. The state that held at that time stays known. */
  trim(before: number): void {
    this.column.trim(before);
    const first = this.changes.findLastIndex(({ time }) => time <= before);
    if (first > 0) {
      this.changes = this.changes.slice(first);
    }
    if (this.#ends.length > 0 && this.#ends[0]! < before) {
      // The last change may be the current state.
      const last = this.#ends.at(-1)!;
      this.#ends = this.#ends.filter((time) => time >= before || time === last);
    }
    if (this.#breaks.length > 0 && this.#breaks[0]! < before) {
      this.#breaks = this.#breaks.filter((time) => time >= before);
    }
  }

  /** The newest value; undefined before the first. */
  get latest(): Value | undefined {
    if (this.kind === 'state') {
      return this.changes.at(-1)?.value;
    }
    return this.column.length > 0 ? this.column.lastValue : undefined;
  }

  #change(time: number, value: Value): void {
    let at = this.changes.length;
    while (at > 0 && this.changes[at - 1]!.time > time) {
      at -= 1;
    }
    const before = this.changes[at - 1];
    if (before?.time === time) {
      this.changes[at - 1] = { time, value };
    } else if (before === undefined || before.value !== value) {
      this.changes.splice(at, 0, { time, value });
      if (this.changes.length > MOST_POINTS) {
        this.changes.shift();
      }
    }
  }

  #learn(step: number): void {
    if (Number.isNaN(step)) {
      return;
    }
    if (this.#first.length < FIRST_STEPS) {
      // Among the first intervals, an exceptional one doesn't become the usual one.
      this.#first.push(step);
      this.interval = this.#first.toSorted((a, b) => a - b)[this.#first.length >> 1]!;
    } else {
      // A pause doesn't change the usual interval much: a long interval counts as three usual ones
      // at most.
      this.interval += 0.1 * (Math.min(step, 3 * this.interval) - this.interval);
    }
  }
}
