/** What a page asked to be shown, and how it is told. */

import { parseDuration } from './duration.ts';
import type { Merge } from './protocol.ts';
import { type Matcher, read } from './selector.ts';
import type { Series, SeriesPoint, SeriesView } from './series.ts';
import { IDLE, type Status } from './status.ts';

/** New points, in the order in which they came. */
export interface PointsUpdate {
  readonly type: 'points';
  readonly points: readonly SeriesPoint[];
}

/**
 * Samples that will not come: the server no longer had them (`lost`, null where nobody knows how
 * many), or nobody took them from an iterator in time. Where several subscriptions share a stream
 * it may have been any of theirs.
 */
export interface GapUpdate {
  readonly type: 'gap';
  readonly lost: number | null;
}

/** Series that fell silent, and that the server dropped. */
export interface GoneUpdate {
  readonly type: 'gone';
  readonly series: readonly SeriesView[];
}

export type Update = PointsUpdate | GapUpdate | GoneUpdate;

/** Why a subscription can't be served. `code` is the server's name for it, if it gave one. */
export class SubscriptionError extends Error {
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.name = 'SubscriptionError';
    this.code = code;
  }
}

export interface SubscribeOptions {
  /** History wanted at the start, and kept: `15m`, or seconds. None: the newest samples only. */
  readonly window?: string | number;
  /** Updates a second at most; the server's own choice if left out. */
  readonly maxHz?: number;
  /** Of several samples of a series in one update: `all` (the default), `last` or `envelope`. */
  readonly merge?: Merge;
  readonly onPoints?: (points: readonly SeriesPoint[]) => void;
  readonly onGap?: (lost: number | null) => void;
  readonly onGone?: (series: readonly SeriesView[]) => void;
  readonly onStatus?: (status: Status) => void;
  /** The server refused; without this, the error goes to the console. */
  readonly onError?: (error: SubscriptionError) => void;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}

/** What is asked for, in the form in which it is compared and sent. */
export interface Wish {
  readonly selectors: readonly string[];
  readonly window: number | null;
  readonly maxHz: number | null;
  readonly merge: Merge;
}

/** Every series there is. */
const EVERYTHING = '{__name__=~".+"}';

/** Updates that wait for an iterator, and points in them; past either the oldest are dropped. */
const MOST_UPDATES = 10_000;
const MOST_POINTS = 1_000_000;

/** Throws a RangeError or TypeError for what can't be meant. */
export function makeWish(selector: string | readonly string[], options: SubscribeOptions): Wish {
  const asked = typeof selector === 'string' ? [selector] : selector;
  const selectors = [...new Set(asked.map((one) => one.trim() || EVERYTHING))];
  const { window, maxHz = null, merge = 'all' } = options;
  if (maxHz !== null && !(maxHz > 0 && maxHz < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`maxHz must be a number above 0, not ${maxHz}`);
  }
  if (!['all', 'last', 'envelope'].includes(merge)) {
    throw new TypeError(`merge must be all, last or envelope, not ${JSON.stringify(merge)}`);
  }
  return {
    selectors: selectors.length > 0 ? selectors : [EVERYTHING],
    window: window === undefined ? null : parseDuration(window),
    maxHz,
    merge,
  };
}

/** What a wish means; null where only the server can tell. */
export function matcherOf({ selectors }: Wish): Matcher | null {
  const matchers: Matcher[] = [];
  for (const selector of selectors) {
    const matcher = read(selector);
    if (matcher === null) {
      return null;
    }
    matchers.push(matcher);
  }
  return (name, labels) => matchers.some((matches) => matches(name, labels));
}

/**
 * A subscription lasts until `close`, also through outages: what was missed comes when the stream
 * resumes.
 *
 * It is an async iterable of updates as well. Each iterator is given what comes from when it was
 * made on; leaving the loop closes the subscription.
 */
export class Subscription implements AsyncIterable<Update> {
  /** @internal */
  readonly wish: Wish;
  private readonly options: SubscribeOptions;
  private readonly onClose: (subscription: Subscription) => void;
  private readonly held = new Map<string, Series>();
  private readonly queues = new Set<Queue>();
  private current: Status = IDLE;
  private closed = false;
  private failure: SubscriptionError | null = null;

  /** Made by `Client.subscribe`. @internal */
  constructor(
    wish: Wish,
    options: SubscribeOptions,
    onClose: (subscription: Subscription) => void,
  ) {
    this.wish = wish;
    this.options = options;
    this.onClose = onClose;
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
  }

  /** All series that are meant, with their points. */
  get series(): readonly SeriesView[] {
    return [...this.held.values()];
  }

  /** How the stream is that serves this subscription. */
  get status(): Status {
    return this.current;
  }

  /** Be told no more. Iterators end. */
  close(): void {
    if (!this.closed) {
      this.closed = true;
      this.onClose(this);
      for (const queue of this.queues) {
        queue.end(null);
      }
      this.queues.clear();
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Update, undefined> {
    const queue = new Queue(() => {
      this.queues.delete(queue);
      this.close();
    });
    if (this.closed || this.failure !== null) {
      queue.end(this.failure);
    } else {
      this.queues.add(queue);
    }
    return queue;
  }

  /** @internal */
  get known(): ReadonlyMap<string, Series> {
    return this.held;
  }

  /** @internal */
  hold(identity: string, series: Series): void {
    this.held.set(identity, series);
  }

  /** @internal */
  forget(identity: string): void {
    this.held.delete(identity);
  }

  /** @internal */
  deliver(update: Update): void {
    if (this.closed) {
      return;
    }
    const { onPoints, onGap, onGone } = this.options;
    if (update.type === 'points') {
      call(onPoints, update.points);
    } else if (update.type === 'gap') {
      call(onGap, update.lost);
    } else {
      call(onGone, update.series);
    }
    for (const queue of this.queues) {
      queue.push(update);
    }
  }

  /** @internal */
  show(status: Status): void {
    this.current = status;
    if (!this.closed) {
      call(this.options.onStatus, status);
    }
  }

  /** The server refused what was asked. It may be asked again, by `Client.retryNow`. @internal */
  refuse(reason: string, code: string): void {
    if (this.closed) {
      return;
    }
    this.failure = new SubscriptionError(reason, code);
    if (this.options.onError !== undefined) {
      call(this.options.onError, this.failure);
    } else if (this.queues.size === 0) {
      console.error(this.failure);
    }
    for (const queue of this.queues) {
      queue.end(this.failure);
    }
    this.queues.clear();
  }

  /** The server lets us in again. @internal */
  admit(): void {
    this.failure = null;
  }
}

/** Have a page's own function run; what it throws is the page's, and stops nothing here. */
export function call<T>(callback: ((value: T) => void) | undefined, value: T): void {
  try {
    callback?.(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** What waits for one loop. When it is full the oldest are dropped, and a gap says how much. */
class Queue implements AsyncIterator<Update, undefined> {
  private readonly updates: Update[] = [];
  private points = 0;
  private lost = 0;
  private waiting: {
    resolve(result: IteratorResult<Update, undefined>): void;
    reject(error: unknown): void;
  }[] = [];
  private ended = false;
  private error: SubscriptionError | null = null;
  private readonly onReturn: () => void;

  constructor(onReturn: () => void) {
    this.onReturn = onReturn;
  }

  push(update: Update): void {
    const waiter = this.waiting.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: update });
      return;
    }
    this.updates.push(update);
    this.points += size(update);
    while (this.updates.length > MOST_UPDATES || this.points > MOST_POINTS) {
      const dropped = this.updates.shift();
      if (dropped === undefined) {
        break;
      }
      this.points -= size(dropped);
      this.lost += countSamples(dropped);
    }
  }

  /** What waits is still given out, then the loop ends, or throws. */
  end(error: SubscriptionError | null): void {
    this.ended = true;
    this.error = error;
    const [first, ...others] = this.waiting.splice(0);
    if (first !== undefined) {
      void this.next().then(first.resolve, first.reject);
    }
    for (const { resolve } of others) {
      resolve({ done: true, value: undefined });
    }
  }

  next(): Promise<IteratorResult<Update, undefined>> {
    if (this.lost > 0) {
      const { lost } = this;
      this.lost = 0;
      return Promise.resolve({ done: false, value: { type: 'gap', lost } });
    }
    const update = this.updates.shift();
    if (update !== undefined) {
      this.points -= size(update);
      return Promise.resolve({ done: false, value: update });
    }
    if (this.error !== null) {
      const { error } = this;
      this.error = null;
      return Promise.reject(error);
    }
    if (this.ended) {
      return Promise.resolve({ done: true, value: undefined });
    }
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Update, undefined>> {
    this.updates.length = 0;
    this.points = 0;
    this.lost = 0;
    if (!this.ended) {
      this.end(null);
      this.onReturn();
    }
    return Promise.resolve({ done: true, value: undefined });
  }
}

function size(update: Update): number {
  return update.type === 'points' ? update.points.length : 0;
}

/** How many samples an update tells of, one at least: a dropped one is not to go unsaid. */
function countSamples(update: Update): number {
  if (update.type !== 'points') {
    return update.type === 'gap' ? (update.lost ?? 1) : 1;
  }
  return update.points.reduce((sum, { count }) => sum + count, 0);
}
