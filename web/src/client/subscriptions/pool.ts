/**
 * The streams of one client, and which subscriptions each of them serves.
 *
 * A browser opens six connections to one host at most, so subscriptions share streams. A stream has
 * one rate and one way of merging. A subscription joins a stream that has the same, that holds as
 * much of the past as it wants, and that has room for its selectors; otherwise it gets a new
 * stream. A subscription with a selector that only the server can evaluate has a stream to itself.
 */

import type { End } from '../links/transport.ts';
import type { Document } from '../protocol/documents.ts';
import type { Matcher } from '../protocol/selector.ts';
import type { Presence } from '../stream/presence.ts';
import type { Status } from '../stream/status.ts';
import { Stream, type StreamOptions } from '../stream/stream.ts';
import { SeriesTable } from './series-table.ts';
import { type Consumer, SharedStream, type StreamHandover } from './shared-stream.ts';
import { matcherOf, type SubscriptionSpec } from './spec.ts';

/** The most selectors of one stream: the server's default limit. */
const MOST_SELECTORS = 32;
/**
 * The most characters in the selectors of one stream: every proxy lets a URL of that length pass.
 */
const MOST_CHARACTERS = 3_000;

/** What happens to the streams of a pool. */
export interface PoolListener {
  /** A stream is new, or its query has changed. */
  asked?(shared: SharedStream): void;
  closed?(shared: SharedStream): void;
  received?(shared: SharedStream, document: Document): void;
  /** What comes next for these selectors may repeat what has come. */
  again?(shared: SharedStream, selectors: readonly string[]): void;
  shown?(shared: SharedStream, status: Status): void;
}

export type StreamSettings = Omit<
  StreamOptions,
  'query' | 'onDocument' | 'onStatus' | 'onLeftOut' | 'onAgain'
>;

export class Pool {
  readonly #settings: StreamSettings;
  readonly #listener: PoolListener;
  readonly #streams = new Set<SharedStream>();
  readonly #places = new Map<Consumer, SharedStream>();
  #presence: Presence = 'full';
  #closed = false;
  /** Whether all series are kept, also those that only other tabs asked for. */
  readonly #keepAll: boolean;

  constructor(settings: StreamSettings, listener: PoolListener = {}, keepAll = false) {
    this.#settings = settings;
    this.#listener = listener;
    this.#keepAll = keepAll;
  }

  get all(): Iterable<SharedStream> {
    return this.#streams;
  }

  /**
   * Serve a consumer. Nothing is sent before the current turn ends, so that those added in it
   * share.
   */
  add(consumer: Consumer): void {
    const matcher = matcherOf(consumer.spec);
    const joined =
      matcher !== null && [...this.#streams].find((shared) => this.#join(shared, consumer));
    const shared = joined || this.#open(makeId(), consumer.spec, matcher === null);
    this.#place(consumer, shared, matcher);
    if (joined) {
      this.#listener.asked?.(shared);
    } else {
      this.#begin(shared, shared.selectors);
    }
  }

  /** Stop serving a consumer. A stream without consumers is closed. */
  remove(consumer: Consumer): void {
    const shared = this.#places.get(consumer);
    if (shared !== undefined) {
      this.#displace(consumer, shared);
      if (shared.consumers.size === 0 && shared.inherited.length === 0) {
        this.#shut(shared);
      } else {
        shared.stream.change(shared.query(shared.selectors));
      }
    }
  }

  /** The stream that serves a consumer. */
  whereIs(consumer: Consumer): SharedStream | undefined {
    return this.#places.get(consumer);
  }

  /** Continue the streams of another tab: from their cursors, with all of their selectors. */
  resume(streams: readonly StreamHandover[]): void {
    for (const { id, spec, alone, cursor, missing, table, heldSince } of streams) {
      const shared = this.#open(id, spec, alone, table ?? undefined);
      shared.heldSince = heldSince;
      shared.inherited = spec.selectors;
      const come = spec.selectors.filter((one) => !missing.includes(one));
      if (cursor !== null && come.length > 0) {
        shared.stream.cursor = cursor;
        shared.stream.change(shared.query(come));
      } else {
        shared.table.expectRepeats(null);
      }
      this.#begin(shared, spec.selectors);
    }
  }

  /**
   * A consumer of a stream that was resumed is still there, and has all that the stream has
   * brought.
   */
  rejoin(consumer: Consumer, id: string): boolean {
    const shared = [...this.#streams].find((one) => one.id === id);
    if (
      shared === undefined ||
      !consumer.spec.selectors.every((one) => shared.selectors.includes(one))
    ) {
      return false;
    }
    this.#place(consumer, shared, shared.alone ? null : matcherOf(consumer.spec));
    return true;
  }

  /** Drop the selectors of resumed streams that no consumer has claimed with `rejoin`. */
  prune(): void {
    for (const shared of [...this.#streams]) {
      const before = shared.selectors.length;
      shared.inherited = [];
      if (shared.consumers.size === 0) {
        this.#shut(shared);
      } else if (shared.selectors.length < before) {
        shared.stream.change(shared.query(shared.selectors));
      }
    }
  }

  setPresence(presence: Presence): void {
    this.#presence = presence;
    for (const { stream } of this.#streams) {
      stream.setPresence(presence);
    }
  }

  retryNow(): void {
    for (const { stream } of this.#streams) {
      stream.retryNow();
    }
  }

  close(): void {
    this.#closed = true;
    for (const shared of [...this.#streams]) {
      shared.stream.close();
    }
    this.#streams.clear();
    this.#places.clear();
  }

  #join(shared: SharedStream, { spec }: Consumer): boolean {
    if (shared.alone || shared.merge !== spec.merge || shared.maxHz !== spec.maxHz) {
      return false;
    }
    if (shared.points !== spec.points || shared.keep !== spec.keep || shared.step !== spec.step) {
      return false;
    }
    if (shared.stream.status.phase === 'refused') {
      return false; // a stream of its own may be let in
    }
    const selectors = [...new Set([...shared.selectors, ...spec.selectors])];
    if (
      selectors.length > MOST_SELECTORS ||
      selectors.reduce((sum, { length }) => sum + length, 0) > MOST_CHARACTERS
    ) {
      return false;
    }
    if (!spec.keep) {
      // Its consumers keep the past themselves, so that a longer window is needed only for new
      // selectors.
      shared.window = Math.max(shared.window ?? 0, spec.window ?? 0) || null;
    } else if (!shared.started) {
      if (spec.window !== null) {
        shared.window = Math.max(shared.window ?? 0, spec.window);
        shared.table.widen(shared.window);
      }
    } else if (
      spec.window !== null &&
      (spec.window > (shared.window ?? 0) || shared.heldSince > Date.now() - spec.window)
    ) {
      return false;
    }
    shared.stream.change(shared.query(selectors));
    return true;
  }

  #open(id: string, spec: SubscriptionSpec, alone: boolean, kept?: SeriesTable): SharedStream {
    const table = kept ?? new SeriesTable(spec.merge, spec.keep ? spec.window : null);
    table.keepAll = this.#keepAll;
    const shared = new SharedStream(id, spec, alone, table);
    shared.stream = new Stream({
      ...this.#settings,
      onDocument: (document) => {
        shared.table.take(document);
        this.#listener.received?.(shared, document);
      },
      onStatus: (status) => this.#show(shared, status),
      onLeftOut: (selectors, end) => this.#leaveOut(shared, selectors, end),
      onAgain: (selectors) => {
        shared.table.expectRepeats(matcherOf({ selectors }));
        this.#listener.again?.(shared, selectors);
      },
    });
    this.#streams.add(shared);
    return shared;
  }

  #begin(shared: SharedStream, selectors: readonly string[]): void {
    shared.stream.setPresence(this.#presence);
    shared.stream.change(shared.query(selectors));
    this.#listener.asked?.(shared);
    queueMicrotask(() => {
      if (this.#streams.has(shared) && !shared.started) {
        shared.started = true;
        if (!Number.isFinite(shared.heldSince)) {
          shared.heldSince = Date.now() - (shared.window ?? 0);
        }
        shared.stream.start();
      }
    });
  }

  #place(consumer: Consumer, shared: SharedStream, matcher: Matcher | null): void {
    const own = shared.alone ? null : matcher;
    const { had } = shared;
    shared.consumers.set(consumer, own);
    this.#places.set(consumer, shared);
    consumer.placed(shared, own, had);
  }

  #displace(consumer: Consumer, shared: SharedStream): void {
    shared.consumers.delete(consumer);
    this.#places.delete(consumer);
    consumer.removed(shared);
  }

  #shut(shared: SharedStream): void {
    this.#streams.delete(shared);
    shared.stream.close();
    this.#listener.closed?.(shared);
  }

  /**
   * The server refuses these selectors. A consumer that has others as well gets a stream to itself,
   * which shows whether it is refused; one that has no other is told.
   */
  #leaveOut(shared: SharedStream, selectors: readonly string[], end: End): void {
    for (const consumer of [...shared.consumers.keys()]) {
      if (consumer.spec.selectors.some((one) => selectors.includes(one))) {
        this.#displace(consumer, shared);
        if (consumer.spec.selectors.length > 1) {
          this.#alone(consumer);
        } else {
          consumer.refused(end.reason, end.code ?? '');
        }
      }
    }
    shared.inherited = shared.inherited.filter((one) => !selectors.includes(one));
    if (shared.consumers.size === 0 && shared.inherited.length === 0) {
      this.#shut(shared);
    }
  }

  #alone(consumer: Consumer): void {
    const shared = this.#open(makeId(), consumer.spec, true);
    this.#place(consumer, shared, null);
    this.#begin(shared, shared.selectors);
  }

  #show(shared: SharedStream, status: Status): void {
    if (this.#closed) {
      return;
    }
    this.#listener.shown?.(shared, status);
    if (status.phase !== 'refused' || !this.#streams.has(shared)) {
      return;
    }
    const consumers = [...shared.consumers.keys()];
    if (status.code === 'selector' && consumers.length > 1) {
      // One consumer has a selector that can't be parsed: with a stream for each it is seen which.
      for (const consumer of consumers) {
        this.#displace(consumer, shared);
        this.#alone(consumer);
      }
      this.#shut(shared);
    } else {
      for (const consumer of consumers) {
        consumer.refused(status.reason, status.code);
      }
    }
  }
}

function makeId(): string {
  // crypto.randomUUID needs a secure context, which a dashboard on a LAN may not have.
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return Array.from(bytes, (byte) => byte.toString(36).padStart(2, '0')).join('');
}
