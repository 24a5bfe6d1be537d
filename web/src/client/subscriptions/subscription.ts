/** What a page asked to be shown, and how it is told. */

import { Queue } from '../data/queue.ts';
import type { Series, SeriesPoint, SeriesView } from '../data/series.ts';
import { type Ending, SubscriptionError, type Update } from '../data/update.ts';
import type { Document, Merge, Reasons } from '../protocol/documents.ts';
import { IDLE, type Status } from '../stream/status.ts';
import type { SubscriptionSpec } from './spec.ts';

export interface SubscribeOptions {
  /** History wanted at the start, and kept: `15m`, or seconds. None: the newest samples only. */
  readonly window?: string | number;
  /**
   * About so many points of each series are enough for the window, as a chart is so many pixels
   * wide: its samples are merged to points with their lowest and highest. All samples if left out.
   */
  readonly points?: number;
  /** Updates a second at most; the server's own choice if left out. */
  readonly maxHz?: number;
  /** Of several samples of a series in one update: `all` (the default), `last` or `envelope`. */
  readonly merge?: Merge;
  /**
   * From one result of an expression to the next: whole seconds, or `5s`. A second if left out.
   */
  readonly step?: string | number;
  readonly onPoints?: (points: readonly SeriesPoint[]) => void;
  readonly onGap?: (lost: number | null) => void;
  readonly onGone?: (series: readonly SeriesView[]) => void;
  /** Lines break there: these have no value until their next point. */
  readonly onEnded?: (endings: readonly Ending[]) => void;
  /**
   * The expressions that have no results have changed: the reason for each, by the name that the
   * results would have; empty when all have results again.
   */
  readonly onFailing?: (failing: Reasons) => void;
  readonly onStatus?: (status: Status) => void;
  /** The server refused; without this, the error goes to the console. */
  readonly onError?: (error: SubscriptionError) => void;
  /**
   * Whether the window is kept for subscribers that ask for it later; true if left out. @internal
   */
  readonly keep?: boolean;
  /** Documents as they come, also those of other subscriptions that share the stream. @internal */
  readonly onDocument?: (document: Document) => void;
  /**
   * It joined a stream that had begun, and that had brought the past of these selectors, which does
   * not come again. @internal
   */
  readonly onJoined?: (had: readonly string[]) => void;
  /** What comes next may repeat what came, up to the newest time that is held. @internal */
  readonly onRepeats?: (nothing: undefined) => void;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
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
  readonly spec: SubscriptionSpec;
  readonly #options: SubscribeOptions;
  readonly #onClose: (subscription: Subscription) => void;
  readonly #held = new Map<string, Series>();
  readonly #queues = new Set<Queue>();
  #current: Status = IDLE;
  #closed = false;
  #failing = '[]';
  #failure: SubscriptionError | null = null;

  /** Made by `Client.subscribe`. @internal */
  constructor(
    spec: SubscriptionSpec,
    options: SubscribeOptions,
    onClose: (subscription: Subscription) => void,
  ) {
    this.spec = spec;
    this.#options = options;
    this.#onClose = onClose;
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
  }

  /** All series that match, with their points. */
  get series(): readonly SeriesView[] {
    return [...this.#held.values()];
  }

  /** The status of the stream that serves this subscription. */
  get status(): Status {
    return this.#current;
  }

  /** End it: nothing more is delivered, and iterators end. */
  close(): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#onClose(this);
      for (const queue of this.#queues) {
        queue.end(null);
      }
      this.#queues.clear();
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Update, undefined> {
    const queue = new Queue(() => {
      this.#queues.delete(queue);
      this.close();
    });
    if (this.#closed || this.#failure !== null) {
      queue.end(this.#failure);
    } else {
      this.#queues.add(queue);
    }
    return queue;
  }

  /** @internal */
  get known(): ReadonlyMap<string, Series> {
    return this.#held;
  }

  /** @internal */
  hold(identity: string, series: Series): void {
    this.#held.set(identity, series);
  }

  /** @internal */
  forget(identity: string): void {
    this.#held.delete(identity);
  }

  /** @internal */
  deliver(update: Update): void {
    if (this.#closed) {
      return;
    }
    const { onPoints, onGap, onGone, onEnded, onFailing } = this.#options;
    if (update.type === 'points') {
      call(onPoints, update.points);
    } else if (update.type === 'gap') {
      call(onGap, update.lost);
    } else if (update.type === 'ended') {
      call(onEnded, update.endings);
    } else if (update.type === 'failing') {
      call(onFailing, update.failing);
    } else {
      call(onGone, update.series);
    }
    for (const queue of this.#queues) {
      queue.push(update);
    }
  }

  /** These of its expressions have no results now, and why. @internal */
  fail(reasons: readonly (readonly [name: string, why: string])[]): void {
    const failing = JSON.stringify(reasons);
    if (failing !== this.#failing) {
      this.#failing = failing;
      this.deliver({ type: 'failing', failing: Object.fromEntries(reasons) });
    }
  }

  /** Whether it is given documents as they come. @internal */
  get raw(): boolean {
    return this.#options.onDocument !== undefined;
  }

  /** @internal */
  pass(document: Document): void {
    if (!this.#closed) {
      call(this.#options.onDocument, document);
    }
  }

  /** @internal */
  joined(had: readonly string[]): void {
    if (!this.#closed) {
      call(this.#options.onJoined, had);
    }
  }

  /** @internal */
  expectRepeats(): void {
    if (!this.#closed) {
      call(this.#options.onRepeats, undefined);
    }
  }

  /** @internal */
  show(status: Status): void {
    this.#current = status;
    if (!this.#closed) {
      call(this.#options.onStatus, status);
    }
  }

  /** The server refused what was asked. It may be asked again, by `Client.retryNow`. @internal */
  refuse(reason: string, code: string): void {
    if (this.#closed) {
      return;
    }
    this.#failure = new SubscriptionError(reason, code);
    if (this.#options.onError !== undefined) {
      call(this.#options.onError, this.#failure);
    } else if (this.#queues.size === 0) {
      console.error(this.#failure);
    }
    for (const queue of this.#queues) {
      queue.end(this.#failure);
    }
    this.#queues.clear();
  }

  /** The server lets us in again. @internal */
  admit(): void {
    this.#failure = null;
  }
}

/** Call a function of the page. What it throws is reported as uncaught, and stops nothing here. */
export function call<T>(callback: ((value: T) => void) | undefined, value: T): void {
  try {
    callback?.(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
