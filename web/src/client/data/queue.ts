/** Updates that wait for an iterator. */

import type { SubscriptionError, Update } from './update.ts';

/**
 * The most updates that wait, and the most points in them: beyond either the oldest are dropped.
 */
const MOST_UPDATES = 10_000;
const MOST_POINTS = 1_000_000;

/**
 * The updates of one iterator. When it is full the oldest are dropped, and a gap tells how many
 * samples.
 */
export class Queue implements AsyncIterator<Update, undefined> {
  readonly #updates: Update[] = [];
  #points = 0;
  #lost = 0;
  #waiting: {
    resolve(result: IteratorResult<Update, undefined>): void;
    reject(error: unknown): void;
  }[] = [];
  #ended = false;
  #error: SubscriptionError | null = null;
  readonly #onReturn: () => void;

  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  push(update: Update): void {
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: update });
      return;
    }
    this.#updates.push(update);
    this.#points += size(update);
    while (this.#updates.length > MOST_UPDATES || this.#points > MOST_POINTS) {
      const dropped = this.#updates.shift();
      if (dropped === undefined) {
        break;
      }
      this.#points -= size(dropped);
      this.#lost += countSamples(dropped);
    }
  }

  /** End it: what waits is still given out, then the iterator ends, or throws. */
  end(error: SubscriptionError | null): void {
    this.#ended = true;
    this.#error = error;
    const [first, ...others] = this.#waiting.splice(0);
    if (first !== undefined) {
      void this.next().then(first.resolve, first.reject);
    }
    for (const { resolve } of others) {
      resolve({ done: true, value: undefined });
    }
  }

  next(): Promise<IteratorResult<Update, undefined>> {
    if (this.#lost > 0) {
      const lost = this.#lost;
      this.#lost = 0;
      return Promise.resolve({ done: false, value: { type: 'gap', lost } });
    }
    const update = this.#updates.shift();
    if (update !== undefined) {
      this.#points -= size(update);
      return Promise.resolve({ done: false, value: update });
    }
    if (this.#error !== null) {
      const error = this.#error;
      this.#error = null;
      return Promise.reject(error);
    }
    if (this.#ended) {
      return Promise.resolve({ done: true, value: undefined });
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Update, undefined>> {
    this.#updates.length = 0;
    this.#points = 0;
    this.#lost = 0;
    if (!this.#ended) {
      this.end(null);
      this.#onReturn();
    }
    return Promise.resolve({ done: true, value: undefined });
  }
}

function size(update: Update): number {
  return update.type === 'points' ? update.points.length : 0;
}

/**
 * How many samples an update stands for; at least one, so that a dropped update is always reported.
 */
function countSamples(update: Update): number {
  if (update.type !== 'points') {
    return update.type === 'gap' ? (update.lost ?? 1) : 1;
  }
  return update.points.reduce((sum, { count }) => sum + count, 0);
}
