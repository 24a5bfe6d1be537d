/**
 * The streams of one client, and which subscriptions each of them serves.
 *
 * A stream has one rate and one way of merging. A subscription joins one that has the same, holds as
 * much of the past as is wanted, and has room for its selectors: a browser has six connections to
 * one host, so that streams are few. Any other gets a stream of its own, also one with a selector
 * that can't be told apart here.
 */

import type { End } from '../links/transport.ts';
import type { Document } from '../protocol/documents.ts';
import type { Matcher } from '../protocol/selector.ts';
import type { Presence } from '../stream/presence.ts';
import type { Status } from '../stream/status.ts';
import { Stream, type StreamOptions } from '../stream/stream.ts';
import { Feed } from './feed.ts';
import { type Remains, type Taker, Trunk } from './trunk.ts';
import { matcherOf, type Wish } from './wish.ts';

/** Selectors of one stream; the server's own limit by default. */
const MOST_SELECTORS = 32;
/** Characters of the selectors of one stream, so that its URL passes everywhere. */
const MOST_CHARACTERS = 3_000;

/** What a pool tells besides. */
export interface Watcher {
  /** A stream is new, or asks for something else. */
  asked?(trunk: Trunk): void;
  closed?(trunk: Trunk): void;
  received?(trunk: Trunk, document: Document): void;
  /** What these selectors bring next may have come already. */
  again?(trunk: Trunk, selectors: readonly string[]): void;
  shown?(trunk: Trunk, status: Status): void;
}

export type StreamSettings = Omit<
  StreamOptions,
  'query' | 'onDocument' | 'onStatus' | 'onLeftOut' | 'onAgain'
>;

export class Pool {
  private readonly settings: StreamSettings;
  private readonly watcher: Watcher;
  private readonly trunks = new Set<Trunk>();
  private readonly places = new Map<Taker, Trunk>();
  private presence: Presence = 'full';
  private closed = false;
  /** Whether feeds keep all that comes, for other tabs. */
  private readonly shared: boolean;

  constructor(settings: StreamSettings, watcher: Watcher = {}, shared = false) {
    this.settings = settings;
    this.watcher = watcher;
    this.shared = shared;
  }

  get all(): Iterable<Trunk> {
    return this.trunks;
  }

  /** Serve somebody. Nothing is sent before the current turn ends: who asks together, shares. */
  add(taker: Taker): void {
    const matcher = matcherOf(taker.wish);
    const joined = matcher !== null && [...this.trunks].find((trunk) => this.join(trunk, taker));
    const trunk = joined || this.open(makeId(), taker.wish, matcher === null);
    this.place(taker, trunk, matcher);
    if (joined) {
      this.watcher.asked?.(trunk);
    } else {
      this.begin(trunk, trunk.selectors);
    }
  }

  /** Serve somebody no more. A stream that serves nobody is closed. */
  remove(taker: Taker): void {
    const trunk = this.places.get(taker);
    if (trunk !== undefined) {
      this.displace(taker, trunk);
      if (trunk.takers.size === 0 && trunk.inherited.length === 0) {
        this.shut(trunk);
      } else {
        trunk.stream.change(trunk.query(trunk.selectors));
      }
    }
  }

  /** Where somebody is served. */
  whereIs(taker: Taker): Trunk | undefined {
    return this.places.get(taker);
  }

  /** Go on with the trunks of another tab: from their cursors, all that they carried. */
  resume(remains: readonly Remains[]): void {
    for (const { id, wish, alone, cursor, missing, feed, heldSince } of remains) {
      const trunk = this.open(id, wish, alone, feed ?? undefined);
      trunk.heldSince = heldSince;
      trunk.inherited = wish.selectors;
      const come = wish.selectors.filter((one) => !missing.includes(one));
      if (cursor !== null && come.length > 0) {
        trunk.stream.cursor = cursor;
        trunk.stream.change(trunk.query(come));
      } else {
        trunk.feed.doubt(null);
      }
      this.begin(trunk, wish.selectors);
    }
  }

  /** Somebody of a trunk that was resumed is still there, and has all that it has brought. */
  rejoin(taker: Taker, id: string): boolean {
    const trunk = [...this.trunks].find((one) => one.id === id);
    if (
      trunk === undefined ||
      !taker.wish.selectors.every((one) => trunk.selectors.includes(one))
    ) {
      return false;
    }
    this.place(taker, trunk, trunk.alone ? null : matcherOf(taker.wish));
    return true;
  }

  /** Nobody else of the trunks that were resumed will come: ask no more for what only they had. */
  prune(): void {
    for (const trunk of [...this.trunks]) {
      const before = trunk.selectors.length;
      trunk.inherited = [];
      if (trunk.takers.size === 0) {
        this.shut(trunk);
      } else if (trunk.selectors.length < before) {
        trunk.stream.change(trunk.query(trunk.selectors));
      }
    }
  }

  attend(presence: Presence): void {
    this.presence = presence;
    for (const { stream } of this.trunks) {
      stream.attend(presence);
    }
  }

  retryNow(): void {
    for (const { stream } of this.trunks) {
      stream.retryNow();
    }
  }

  close(): void {
    this.closed = true;
    for (const trunk of [...this.trunks]) {
      trunk.stream.close();
    }
    this.trunks.clear();
    this.places.clear();
  }

  private join(trunk: Trunk, { wish }: Taker): boolean {
    if (trunk.alone || trunk.merge !== wish.merge || trunk.maxHz !== wish.maxHz) {
      return false;
    }
    if (trunk.points !== wish.points || trunk.keep !== wish.keep) {
      return false;
    }
    if (trunk.stream.status.phase === 'refused') {
      return false; // whoever comes now may fare better
    }
    const selectors = [...new Set([...trunk.selectors, ...wish.selectors])];
    if (
      selectors.length > MOST_SELECTORS ||
      selectors.reduce((sum, { length }) => sum + length, 0) > MOST_CHARACTERS
    ) {
      return false;
    }
    if (!wish.keep) {
      // Whoever joins has a past from elsewhere: what is added from now on may have a longer one.
      trunk.window = Math.max(trunk.window ?? 0, wish.window ?? 0) || null;
    } else if (!trunk.started) {
      if (wish.window !== null) {
        trunk.window = Math.max(trunk.window ?? 0, wish.window);
        trunk.feed.widen(trunk.window);
      }
    } else if (
      wish.window !== null &&
      (wish.window > (trunk.window ?? 0) || trunk.heldSince > Date.now() - wish.window)
    ) {
      return false;
    }
    trunk.stream.change(trunk.query(selectors));
    return true;
  }

  private open(id: string, wish: Wish, alone: boolean, kept?: Feed): Trunk {
    const feed = kept ?? new Feed(wish.merge, wish.keep ? wish.window : null);
    feed.keepAll = this.shared;
    const trunk = new Trunk(id, wish, alone, feed);
    trunk.stream = new Stream({
      ...this.settings,
      onDocument: (document) => {
        trunk.feed.take(document);
        this.watcher.received?.(trunk, document);
      },
      onStatus: (status) => this.show(trunk, status),
      onLeftOut: (selectors, end) => this.leaveOut(trunk, selectors, end),
      onAgain: (selectors) => {
        trunk.feed.doubt(matcherOf({ selectors }));
        this.watcher.again?.(trunk, selectors);
      },
    });
    this.trunks.add(trunk);
    return trunk;
  }

  private begin(trunk: Trunk, selectors: readonly string[]): void {
    trunk.stream.attend(this.presence);
    trunk.stream.change(trunk.query(selectors));
    this.watcher.asked?.(trunk);
    queueMicrotask(() => {
      if (this.trunks.has(trunk) && !trunk.started) {
        trunk.started = true;
        if (!Number.isFinite(trunk.heldSince)) {
          trunk.heldSince = Date.now() - (trunk.window ?? 0);
        }
        trunk.stream.start();
      }
    });
  }

  private place(taker: Taker, trunk: Trunk, matcher: Matcher | null): void {
    const own = trunk.alone ? null : matcher;
    const { had } = trunk;
    trunk.takers.set(taker, own);
    this.places.set(taker, trunk);
    taker.placed(trunk, own, had);
  }

  private displace(taker: Taker, trunk: Trunk): void {
    trunk.takers.delete(taker);
    this.places.delete(taker);
    taker.removed(trunk);
  }

  private shut(trunk: Trunk): void {
    this.trunks.delete(trunk);
    trunk.stream.close();
    this.watcher.closed?.(trunk);
  }

  /** Tell those who asked for these selectors that it's refused, or see what of theirs it is. */
  private leaveOut(trunk: Trunk, selectors: readonly string[], end: End): void {
    for (const taker of [...trunk.takers.keys()]) {
      if (taker.wish.selectors.some((one) => selectors.includes(one))) {
        this.displace(taker, trunk);
        if (taker.wish.selectors.length > 1) {
          this.alone(taker);
        } else {
          taker.refused(end.reason, end.code ?? '');
        }
      }
    }
    trunk.inherited = trunk.inherited.filter((one) => !selectors.includes(one));
    if (trunk.takers.size === 0 && trunk.inherited.length === 0) {
      this.shut(trunk);
    }
  }

  private alone(taker: Taker): void {
    const trunk = this.open(makeId(), taker.wish, true);
    this.place(taker, trunk, null);
    this.begin(trunk, trunk.selectors);
  }

  private show(trunk: Trunk, status: Status): void {
    if (this.closed) {
      return;
    }
    this.watcher.shown?.(trunk, status);
    if (status.phase !== 'refused' || !this.trunks.has(trunk)) {
      return;
    }
    const takers = [...trunk.takers.keys()];
    if (status.code === 'selector' && takers.length > 1) {
      // One of them can't be read: which it is will be seen when each asks for itself.
      for (const taker of takers) {
        this.displace(taker, trunk);
        this.alone(taker);
      }
      this.shut(trunk);
    } else {
      for (const taker of takers) {
        taker.refused(status.reason, status.code);
      }
    }
  }
}

function makeId(): string {
  // crypto.randomUUID wants a secure context, which a dashboard on a LAN may not have.
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return Array.from(bytes, (byte) => byte.toString(36).padStart(2, '0')).join('');
}
