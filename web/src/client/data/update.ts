/** The updates that subscribers are given. */

import type { Reasons } from '../protocol/documents.ts';
import type { SeriesPoint, SeriesView } from './series.ts';

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

/** One that ended at `time`: it has no value from there on until its next point by time. */
export interface Ending {
  readonly series: SeriesView;
  /** Unix milliseconds. */
  readonly time: number;
}

/** Series that ended: their producers said so, or that there is no value. Each may go on. */
export interface EndedUpdate {
  readonly type: 'ended';
  readonly endings: readonly Ending[];
}

/**
 * The expressions that have no results have changed: the reason for each, by the name that the
 * results would have; empty when all have results again.
 */
export interface FailingUpdate {
  readonly type: 'failing';
  readonly failing: Reasons;
}

export type Update = PointsUpdate | GapUpdate | GoneUpdate | EndedUpdate | FailingUpdate;

/** Why a subscription can't be served. `code` is the server's name for it, if it gave one. */
export class SubscriptionError extends Error {
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.name = 'SubscriptionError';
    this.code = code;
  }
}
