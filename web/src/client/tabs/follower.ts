/** A tab whose connection another one holds. */

import { type Document, parseDocument } from '../protocol/documents.ts';
import type { Presence } from '../stream/presence.ts';
import { IDLE, type Status } from '../stream/status.ts';
import { Feed } from '../subscriptions/feed.ts';
import { overall, type Source, showAll } from '../subscriptions/source.ts';
import type { Subscription } from '../subscriptions/subscription.ts';
import { matcherOf } from '../subscriptions/wish.ts';
import type { Message, Note, Say, Want } from './channel.ts';
import type { Legacy } from './leader.ts';

/** One subscription here, and where it is served. */
interface Place {
  readonly key: number;
  trunk: string | null;
  /** Since when all that is meant is held here (Unix milliseconds). */
  heldSince: number;
}

const WAITING: Status = { ...IDLE, phase: 'connecting', attempt: 1 };

export class Follower implements Source {
  /** Who leads; null while nobody has said so. */
  leader: string | null = null;
  private readonly say: Say;
  private readonly onStatus: (status: Status) => void;
  private readonly notes = new Map<string, Note>();
  private readonly feeds = new Map<string, Feed>();
  private readonly places = new Map<Subscription, Place>();
  private presence: Presence = 'full';
  private lastKey = 0;
  private planned = false;
  private closed = false;

  /** Goes on with what a tab has had so far. Nothing is said before `greet`. */
  constructor(say: Say, legacy: Legacy, onStatus: (status: Status) => void) {
    this.say = say;
    this.onStatus = onStatus;
    for (const { id, wish, alone, cursor, missing, feed } of legacy.remains) {
      this.notes.set(id, { id, wish, alone, cursor, missing, status: WAITING });
      if (feed !== null) {
        feed.keepAll = false;
        this.feeds.set(id, feed);
      }
    }
    for (const [subscription, trunk] of legacy.places) {
      this.places.set(subscription, { key: ++this.lastKey, trunk, heldSince: Date.now() });
    }
  }

  /** Ask who leads, now that this tab takes part. */
  greet(): void {
    this.say({ type: 'who' });
  }

  add(subscription: Subscription): void {
    this.places.set(subscription, { key: ++this.lastKey, trunk: null, heldSince: Date.now() });
    subscription.show(WAITING);
    this.summarize();
    this.ask();
  }

  remove(subscription: Subscription): void {
    const place = this.places.get(subscription);
    if (place !== undefined) {
      this.places.delete(subscription);
      this.leave(subscription, place);
      this.ask();
    }
  }

  attend(presence: Presence): void {
    this.presence = presence;
    this.ask();
  }

  retryNow(): void {
    this.say({ type: 'retry' });
  }

  close(): void {
    this.closed = true;
    this.feeds.clear();
    this.places.clear();
  }

  /** The leader speaks. */
  hear(message: Message): void {
    if (message.type === 'lead') {
      if (message.from !== this.leader) {
        this.follow(message.from, message.notes);
      }
      return;
    }
    if (message.from !== this.leader) {
      return; // one who was replaced, and doesn't know it yet
    }
    switch (message.type) {
      case 'note':
        this.notes.set(message.note.id, this.keepCursor(message.note));
        break;
      case 'placed':
        this.placed(message.key, message.note, message.copy, message.had);
        break;
      case 'refused':
        this.find(message.key)?.refuse(message.reason, message.code);
        break;
      case 'document':
        this.receive(message.trunk, parseDocument(message.text));
        break;
      case 'again':
        this.feeds.get(message.trunk)?.doubt(matcherOf(message));
        break;
      case 'status':
        this.show(message.trunk, message.status);
        break;
      case 'ended':
        this.notes.delete(message.trunk);
        this.feeds.delete(message.trunk);
        this.summarize();
        break;
      default:
        break;
    }
  }

  /** Stop following, with all that is needed to lead. */
  succeed(): Legacy {
    this.closed = true;
    const remains = [...this.notes.values()].map(({ id, wish, alone, cursor, missing }) => ({
      id,
      wish,
      alone,
      cursor,
      missing,
      feed: this.feeds.get(id) ?? null,
      heldSince: this.heldSince(id, wish.selectors),
    }));
    const places = new Map<Subscription, string | null>();
    for (const [subscription, { trunk }] of this.places) {
      places.set(subscription, trunk);
    }
    return { remains, places };
  }

  private follow(leader: string, notes: readonly Note[]): void {
    this.leader = leader;
    const theirs = new Map(notes.map((note) => [note.id, note]));
    for (const [subscription, place] of this.places) {
      const note = place.trunk === null ? undefined : theirs.get(place.trunk);
      const mine = place.trunk === null ? undefined : this.notes.get(place.trunk);
      if (place.trunk !== null && (note === undefined || note.cursor !== mine?.cursor)) {
        // That leader has come less far, or farther: what it holds is compared point by point.
        this.leave(subscription, place);
      }
    }
    this.notes.clear();
    for (const [id, note] of theirs) {
      this.notes.set(id, note);
    }
    for (const id of [...this.feeds.keys()]) {
      if (!theirs.has(id)) {
        this.feeds.delete(id);
      }
    }
    for (const { id, status } of notes) {
      this.show(id, status);
    }
    this.want();
  }

  /** Say all that is wanted, once for all that is asked in one turn. */
  private ask(): void {
    if (!this.planned) {
      this.planned = true;
      queueMicrotask(() => {
        this.planned = false;
        this.want();
      });
    }
  }

  private want(): void {
    if (this.leader !== null && !this.closed) {
      const wants: Want[] = [...this.places].map(([{ wish }, { key, trunk }]) => ({
        key,
        wish,
        trunk,
      }));
      this.say({ type: 'want', wants, presence: this.presence, to: this.leader });
    }
  }

  private placed(
    key: number,
    note: Note,
    copy: Parameters<Feed['load']>[0],
    had: readonly string[] = note.wish.selectors,
  ): void {
    const subscription = this.find(key);
    if (subscription === undefined) {
      return;
    }
    const place = this.places.get(subscription)!;
    this.leave(subscription, place);
    this.notes.set(note.id, this.keepCursor(note));
    let feed = this.feeds.get(note.id);
    if (feed === undefined) {
      feed = new Feed(note.wish.merge, note.wish.keep ? note.wish.window : null);
      this.feeds.set(note.id, feed);
    }
    feed.attach(subscription, note.alone ? null : matcherOf(subscription.wish), had);
    feed.load(copy, had);
    place.trunk = note.id;
    place.heldSince = Date.now() - (subscription.wish.window ?? 0);
    this.show(note.id, note.status);
  }

  /** A trunk that is followed has come as far here as its documents have. */
  private keepCursor(note: Note): Note {
    const known = this.notes.get(note.id);
    return known === undefined ? note : { ...note, cursor: known.cursor };
  }

  private receive(trunk: string, document: Document): void {
    const note = this.notes.get(trunk);
    if (note !== undefined && 'id' in document && document.id !== undefined) {
      this.notes.set(trunk, { ...note, cursor: document.id });
    }
    this.feeds.get(trunk)?.take(document);
  }

  private show(trunk: string, status: Status): void {
    const note = this.notes.get(trunk);
    if (note !== undefined) {
      this.notes.set(trunk, { ...note, status });
      showAll(this.feeds.get(trunk)?.subscriptions ?? [], status);
      this.summarize();
    }
  }

  private leave(subscription: Subscription, place: Place): void {
    if (place.trunk !== null) {
      this.feeds.get(place.trunk)?.detach(subscription);
      place.trunk = null;
    }
  }

  private find(key: number): Subscription | undefined {
    for (const [subscription, place] of this.places) {
      if (place.key === key) {
        return subscription;
      }
    }
    return undefined;
  }

  /** Since when all of a trunk is held here: from now on, if others had a part in it. */
  private heldSince(trunk: string, selectors: readonly string[]): number {
    const mine = new Set<string>();
    let since = Number.NEGATIVE_INFINITY;
    for (const [subscription, place] of this.places) {
      if (place.trunk === trunk) {
        for (const selector of subscription.wish.selectors) {
          mine.add(selector);
        }
        since = Math.max(since, place.heldSince);
      }
    }
    return selectors.every((one) => mine.has(one)) ? since : Date.now();
  }

  private summarize(): void {
    const statuses = [...this.places.values()].map(({ trunk }) =>
      trunk === null ? WAITING : (this.notes.get(trunk)?.status ?? WAITING),
    );
    this.onStatus(overall(statuses));
  }
}
