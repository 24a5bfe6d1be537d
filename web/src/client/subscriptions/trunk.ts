/** A stream that several subscriptions share, and who they are. */

import type { Merge, Query } from '../protocol/documents.ts';
import type { Matcher } from '../protocol/selector.ts';
import type { Stream } from '../stream/stream.ts';
import type { Feed } from './feed.ts';
import type { Wish } from './wish.ts';

/** Somebody who is to be served: a subscription here, or one in another tab. */
export interface Taker {
  readonly wish: Wish;
  /**
   * It is served by this trunk from here on; what comes next, comes through it. What the selectors
   * of `had` mean has come before.
   */
  placed(trunk: Trunk, matcher: Matcher | null, had: readonly string[]): void;
  /** It is served by this trunk no more. */
  removed(trunk: Trunk): void;
  /** The server refused what it asked for. */
  refused(reason: string, code: string): void;
}

/** A stream with those whom it serves. */
export class Trunk {
  readonly id: string;
  readonly merge: Merge;
  readonly maxHz: number | null;
  readonly feed: Feed;
  readonly takers = new Map<Taker, Matcher | null>();
  /** One taker's own, whose selectors only the server can read. */
  readonly alone: boolean;
  window: number | null;
  readonly points: number | null;
  readonly keep: boolean;
  stream!: Stream;
  started = false;
  /** Since when all that is watched is held (Unix milliseconds). */
  heldSince = Number.POSITIVE_INFINITY;
  /** Selectors of another tab's trunk, until it is known whose they still are. */
  inherited: readonly string[] = [];

  constructor(id: string, wish: Omit<Wish, 'selectors'>, alone: boolean, feed: Feed) {
    this.id = id;
    this.merge = wish.merge;
    this.maxHz = wish.maxHz;
    this.window = wish.window;
    this.points = wish.points;
    this.keep = wish.keep;
    this.alone = alone;
    this.feed = feed;
  }

  get selectors(): string[] {
    const asked = [...this.takers.keys()].flatMap(({ wish }) => wish.selectors);
    return [...new Set([...this.inherited, ...asked])];
  }

  /** Those of the selectors whose past has come. */
  get had(): readonly string[] {
    const { missing } = this.stream;
    return this.selectors.filter((one) => !missing.includes(one));
  }

  /** What is asked of the server for these selectors. */
  query(select: readonly string[]): Query {
    return {
      select,
      merge: this.merge,
      ...(this.window === null ? {} : { window: `${Math.ceil(this.window)}ms` }),
      ...(this.window === null || this.points === null ? {} : { points: this.points }),
      ...(this.maxHz === null ? {} : { maxHz: this.maxHz }),
    };
  }
}

/** A trunk as another tab left it: what was asked for, and how far it had come. */
export interface Remains {
  readonly id: string;
  readonly wish: Wish;
  readonly alone: boolean;
  readonly cursor: string | null;
  /** Selectors that the cursor is not true of, as their history may not have come. */
  readonly missing: readonly string[];
  /** What is held of it here. */
  readonly feed: Feed | null;
  readonly heldSince: number;
}
