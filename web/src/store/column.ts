/**
 * The points of one series in columns: ascending times, and the values at these times.
 *
 * The arrays are up to twice as long as their content. Dropping the oldest points only moves a
 * mark, and the content is always one contiguous view that a chart uses without a copy.
 */
export class Column {
  #times: Float64Array;
  #values: Float64Array;
  /**
   * The lowest and highest sample that each point stands for; made when the first merged point
   * comes.
   */
  #lows: Float64Array | null = null;
  #highs: Float64Array | null = null;
  #start = 0;
  #end = 0;
  readonly #most: number;

  /** Holds at most `most` points: beyond that the oldest are dropped. */
  constructor(most: number) {
    this.#most = most;
    const size = Math.min(64, most * 2);
    this.#times = new Float64Array(size);
    this.#values = new Float64Array(size);
  }

  get length(): number {
    return this.#end - this.#start;
  }

  /** The time of the newest point; NaN without one. */
  get lastTime(): number {
    return this.length > 0 ? this.#times[this.#end - 1]! : Number.NaN;
  }

  get lastValue(): number {
    return this.length > 0 ? this.#values[this.#end - 1]! : Number.NaN;
  }

  get firstTime(): number {
    return this.length > 0 ? this.#times[this.#start]! : Number.NaN;
  }

  /** Whether any point stands for several samples. */
  get merged(): boolean {
    return this.#lows !== null;
  }

  /**
   * Insert a point in the order of time. A second point of the same time replaces the first: a
   * point that comes twice, for example from a restarted server, is there once.
   */
  put(time: number, value: number, low = value, high = value): void {
    let at = this.#end;
    if (this.length > 0 && time <= this.#times[at - 1]!) {
      at = this.#find(time);
      if (this.#times[at] !== time) {
        this.#makeRoom();
        // `makeRoom` may have moved all points.
        at = this.#find(time);
        for (const column of this.#columns()) {
          column.copyWithin(at + 1, at, this.#end);
        }
        this.#end += 1;
      }
    } else {
      this.#makeRoom();
      at = this.#end;
      this.#end += 1;
    }
    this.#times[at] = time;
    this.#values[at] = value;
    // Only now, because `makeRoom` may have dropped the arrays.
    if ((low !== value || high !== value) && this.#lows === null) {
      this.#lows = this.#values.slice();
      this.#highs = this.#values.slice();
    }
    if (this.#lows !== null && this.#highs !== null) {
      this.#lows[at] = low;
      this.#highs[at] = high;
    }
  }

  /** Replace the points from one time to another by others, which are in the order of time. */
  replace(from: number, to: number, points: readonly (readonly [number, number])[]): void {
    const { times, values, lows, highs } = this.slice();
    const time = times.slice();
    const value = values.slice();
    const [low, high] = [lows?.slice() ?? value, highs?.slice() ?? value];
    const [first, last] = [this.indexOf(from), this.indexOf(to + 1)];
    this.#end = this.#start;
    for (let at = 0; at < first; at += 1) {
      this.put(time[at]!, value[at]!, low[at]!, high[at]!);
    }
    for (const point of points) {
      this.put(...point);
    }
    for (let at = last; at < time.length; at += 1) {
      this.put(time[at]!, value[at]!, low[at]!, high[at]!);
    }
  }

  /** The value at exactly this time; 0 if there is none. */
  valueAt(time: number): number {
    const at = this.#find(time);
    return at < this.#end && this.#times[at] === time ? this.#values[at]! : 0;
  }

  /** Drop points before a time. */
  trim(before: number): void {
    this.#start = this.#find(before);
  }

  /**
   * The index, within the views, of the first point at or after a time; `length` if there is none.
   */
  indexOf(time: number): number {
    return this.#find(time) - this.#start;
  }

  /** Views of the points from index `from` up to `to`; valid until the next change. */
  slice(from = 0, to = this.length): Slice {
    const begin = this.#start + from;
    const end = this.#start + to;
    return {
      times: this.#times.subarray(begin, end),
      values: this.#values.subarray(begin, end),
      lows: this.#lows?.subarray(begin, end) ?? null,
      highs: this.#highs?.subarray(begin, end) ?? null,
    };
  }

  #find(time: number): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#times[middle]! < time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  #columns(): Float64Array[] {
    return [this.#times, this.#values, this.#lows, this.#highs].filter((column) => column !== null);
  }

  #makeRoom(): void {
    if (this.length >= this.#most) {
      this.#start += this.length - this.#most + 1;
    }
    if (this.#end < this.#times.length) {
      return;
    }
    const { length } = this;
    this.#narrow();
    if (length * 1.5 > this.#times.length) {
      const size = Math.min(length * 2, this.#most * 2);
      this.#times = this.#grown(this.#times, size);
      this.#values = this.#grown(this.#values, size);
      this.#lows = this.#lows && this.#grown(this.#lows, size);
      this.#highs = this.#highs && this.#grown(this.#highs, size);
    } else {
      for (const column of this.#columns()) {
        column.copyWithin(0, this.#start, this.#end);
      }
    }
    this.#start = 0;
    this.#end = length;
  }

  /** Drop lowest and highest once no merged point is left. */
  #narrow(): void {
    const { values, lows, highs } = this.slice();
    if (lows !== null && values.every((one, at) => one === lows[at] && one === highs![at])) {
      this.#lows = null;
      this.#highs = null;
    }
  }

  #grown(column: Float64Array, size: number): Float64Array {
    const larger = new Float64Array(size);
    larger.set(column.subarray(this.#start, this.#end));
    return larger;
  }
}

export interface Slice {
  readonly times: Float64Array;
  readonly values: Float64Array;
  readonly lows: Float64Array | null;
  readonly highs: Float64Array | null;
}
