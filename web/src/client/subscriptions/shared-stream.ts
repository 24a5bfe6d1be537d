/** A stream that several subscriptions share, and who they are. */

import type { Merge, Query } from '../protocol/documents.ts';
import type { Matcher } from '../protocol/selector.ts';
import type { Stream } from '../stream/stream.ts';
import type { SeriesTable } from './series-table.ts';
import type { SubscriptionSpec } from './spec.ts';

/** A receiver of what a stream brings: a subscription of this tab, or of another one. */
export interface Consumer {
  readonly spec: SubscriptionSpec;
  /**
   * From now on this stream serves it. The past of the selectors in `had` has come already, and
   * does not come again.
   */
  placed(shared: SharedStream, matcher: Matcher | null, had: readonly string[]): void;
  /** This stream no longer serves it. */
  removed(shared: SharedStream): void;
  /** The server refused what it asked for. */
  refused(reason: string, code: string): void;
}

/** One stream of the server and its consumers: it asks for the union of their selectors. */
export class SharedStream {
  readonly id: string;
  readonly merge: Merge;
  readonly maxHz: number | null;
  readonly table: SeriesTable;
  readonly consumers = new Map<Consumer, Matcher | null>();
  /** It has one consumer only, because the client can't tell which series its selectors match. */
  readonly alone: boolean;
  window: number | null;
  readonly points: number | null;
  readonly keep: boolean;
  readonly step: number | null;
  stream!: Stream;
  started = false;
  /** The points of all its series are held from this time on (Unix milliseconds). */
  heldSince = Number.POSITIVE_INFINITY;
  /**
   * Selectors that other tabs asked for under the last leader, until each tab has said what it
   * wants.
   */
  inherited: readonly string[] = [];

  constructor(
    id: string,
    spec: Omit<SubscriptionSpec, 'selectors'>,
    alone: boolean,
    table: SeriesTable,
  ) {
    this.id = id;
    this.merge = spec.merge;
    this.maxHz = spec.maxHz;
    this.window = spec.window;
    this.points = spec.points;
    this.keep = spec.keep;
    this.step = spec.step;
    this.alone = alone;
    this.table = table;
  }

  get selectors(): string[] {
    const asked = [...this.consumers.keys()].flatMap(({ spec }) => spec.selectors);
    return [...new Set([...this.inherited, ...asked])];
  }

  /** The selectors whose past has come. */
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
      ...(this.step === null ? {} : { step: `${this.step}ms` }),
    };
  }
}

/** A stream for the next leader to continue: what it asks for, and how far it has come. */
export interface StreamHandover {
  readonly id: string;
  readonly spec: SubscriptionSpec;
  readonly alone: boolean;
  readonly cursor: string | null;
  /** Selectors that the cursor is not true of, as their history may not have come. */
  readonly missing: readonly string[];
  /** Its series, as far as this tab holds them. */
  readonly table: SeriesTable | null;
  readonly heldSince: number;
}
