/** Points of one series in columns. */

import type { Value } from '../protocol/documents.ts';

type Lane = Float64Array | Value[];

/**
 * Ascending times with values beside them, at most `most` of them: then the oldest make room.
 *
 * The arrays are up to twice as long as what they hold, so that forgetting the oldest point is
 * moving a mark, and what is held lies in one piece: it is given out without a copy.
 */
export class Column {
  readonly #most: number;
  readonly #numeric: boolean;
  #time: Float64Array;
  #value: Lane;
  /**
   * The lowest and highest value of the samples that were merged to each point, and how many they
   * were; null while no point is of several.
   */
  #merged: readonly [low: Float64Array, high: Float64Array, count: Float64Array] | null = null;
  #start = 0;
  #end = 0;

  constructor(most: number, numeric: boolean) {
    this.#most = Math.max(1, most);
    this.#numeric = numeric;
    this.#time = new Float64Array(16);
    this.#value = numeric ? new Float64Array(16) : new Array<Value>(16).fill(null);
  }

  get length(): number {
    return this.#end - this.#start;
  }

  get firstTime(): number {
    return this.length > 0 ? this.#time[this.#start]! : Number.NaN;
  }

  get lastTime(): number {
    return this.length > 0 ? this.#time[this.#end - 1]! : Number.NaN;
  }

  get lastValue(): Value {
    return this.length > 0 ? this.#value[this.#end - 1]! : null;
  }

  /** Views, valid until the next change. Values of states are a copy, since they aren't numbers. */
  get times(): Float64Array {
    return this.#time.subarray(this.#start, this.#end);
  }

  get values(): Float64Array | Value[] {
    const start = this.#start;
    const end = this.#end;
    const value = this.#value;
    return value instanceof Float64Array ? value.subarray(start, end) : value.slice(start, end);
  }

  /** Views of the lowest, the highest and the number of samples; null if none were merged. */
  get envelope(): readonly [Float64Array, Float64Array, Float64Array] | null {
    const start = this.#start;
    const end = this.#end;
    const merged = this.#merged;
    return (
      merged && [
        merged[0].subarray(start, end),
        merged[1].subarray(start, end),
        merged[2].subarray(start, end),
      ]
    );
  }

  /** Index of the first point at or after a time; `length` if there is none. */
  find(time: number): number {
    return this.#search(time) - this.#start;
  }

  /** Insert a point by its time, behind those of the same time. */
  put(time: number, value: Value, low: number, high: number, count: number): void {
    if (count !== 1 && this.#merged === null) {
      this.#beginEnvelope();
    }
    this.#makeRoom();
    let at = this.#end;
    if (at > this.#start && time < this.#time[at - 1]!) {
      at = this.#search(time + 1);
      for (const lane of this.#lanes()) {
        lane.copyWithin(at + 1, at, this.#end);
      }
    }
    this.#end += 1;
    this.#write(at, time, value, low, high, count);
  }

  /**
   * Tell whether a point is held that this one is again: one sample of the same time and value, or
   * several of them that were merged otherwise, which it then replaces.
   */
  repeats(time: number, value: Value, low: number, high: number, count: number): boolean {
    for (let at = this.#search(time); at < this.#end && this.#time[at] === time; at += 1) {
      const held = this.#merged?.[2][at] ?? 1;
      const same = this.#numeric && typeof value !== 'number' ? Number.NaN : value;
      if (held === count && Object.is(this.#value[at], same)) {
        return true;
      }
      if (held !== 1 || count !== 1) {
        if (this.#merged === null) {
          this.#beginEnvelope();
        }
        this.#write(at, time, value, low, high, count);
        return true;
      }
    }
    return false;
  }

  /** Forget what is older, and shrink the arrays if they are much too long for what is left. */
  trim(before: number): void {
    this.#start = this.#search(before);
    if (this.#time.length > 64 && this.length * 8 < this.#time.length) {
      this.#resize(Math.max(16, this.length * 2));
    }
  }

  #write(at: number, time: number, value: Value, low: number, high: number, count: number): void {
    this.#time[at] = time;
    // A numeric lane holds numbers only: null, which JSON has for NaN, becomes NaN.
    this.#value[at] = this.#numeric && typeof value !== 'number' ? Number.NaN : value;
    if (this.#merged !== null) {
      this.#merged[0][at] = low;
      this.#merged[1][at] = high;
      this.#merged[2][at] = count;
    }
  }

  #search(time: number): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#time[middle]! < time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  #beginEnvelope(): void {
    const alone = this.#numeric ? (this.#value as Float64Array) : null;
    const size = this.#time.length;
    this.#merged = [
      alone?.slice() ?? new Float64Array(size).fill(Number.NaN),
      alone?.slice() ?? new Float64Array(size).fill(Number.NaN),
      new Float64Array(size).fill(1),
    ];
  }

  #lanes(): Lane[] {
    return [this.#time, this.#value, ...(this.#merged ?? [])];
  }

  /** Make sure that there is a free place behind the end. */
  #makeRoom(): void {
    if (this.length >= this.#most) {
      this.#start += this.length - this.#most + 1;
    }
    if (this.#end < this.#time.length) {
      return;
    }
    if (this.length * 2 > this.#time.length) {
      this.#resize(Math.min(this.#time.length * 2, this.#most * 2));
    } else {
      for (const lane of this.#lanes()) {
        lane.copyWithin(0, this.#start, this.#end);
      }
      this.#end -= this.#start;
      this.#start = 0;
    }
  }

  #resize(wanted: number): void {
    const start = this.#start;
    const end = this.#end;
    const size = Math.max(wanted, end - start + 1);
    const move = (lane: Float64Array): Float64Array => {
      const other = new Float64Array(size);
      other.set(lane.subarray(start, end));
      return other;
    };
    this.#time = move(this.#time);
    if (this.#value instanceof Float64Array) {
      this.#value = move(this.#value);
    } else {
      const kept = this.#value.slice(start, end);
      kept.length = size;
      this.#value = kept;
    }
    this.#merged = this.#merged && [
      move(this.#merged[0]),
      move(this.#merged[1]),
      move(this.#merged[2]),
    ];
    this.#end = end - start;
    this.#start = 0;
  }
}
