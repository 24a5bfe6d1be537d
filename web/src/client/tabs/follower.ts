/** A tab whose connection is held by another tab, the leader. */

import { type Document, parseDocument } from '../protocol/documents.ts';
import type { Presence } from '../stream/presence.ts';
import { IDLE, type Status } from '../stream/status.ts';
import { SeriesTable } from '../subscriptions/series-table.ts';
import { overall, type Source, showAll } from '../subscriptions/source.ts';
import { matcherOf } from '../subscriptions/spec.ts';
import type { Subscription } from '../subscriptions/subscription.ts';
import type { Message, Send, StreamNote, Want } from './channel.ts';
import type { Handover } from './leader.ts';

/** The key of a subscription of this tab, and the stream that serves it. */
interface Place {
  readonly key: number;
  stream: string | null;
  /** The points of all its series are held here from this time on (Unix milliseconds). */
  heldSince: number;
}

const WAITING: Status = { ...IDLE, phase: 'connecting', attempt: 1 };

export class Follower implements Source {
  /** The tab that leads; null while that is not known. */
  leader: string | null = null;
  readonly #send: Send;
  readonly #onStatus: (status: Status) => void;
  readonly #notes = new Map<string, StreamNote>();
  readonly #tables = new Map<string, SeriesTable>();
  readonly #places = new Map<Subscription, Place>();
  #presence: Presence = 'full';
  #lastKey = 0;
  #planned = false;
  #closed = false;

  /** Continues with what this tab has had so far. Nothing is sent before `greet`. */
  constructor(send: Send, handover: Handover, onStatus: (status: Status) => void) {
    this.#send = send;
    this.#onStatus = onStatus;
    for (const { id, spec, alone, cursor, missing, table } of handover.streams) {
      this.#notes.set(id, { id, spec, alone, cursor, missing, status: WAITING });
      if (table !== null) {
        table.keepAll = false;
        this.#tables.set(id, table);
      }
    }
    for (const [subscription, stream] of handover.places) {
      this.#places.set(subscription, { key: ++this.#lastKey, stream, heldSince: Date.now() });
    }
  }

  /** Ask which tab leads. */
  greet(): void {
    this.#send({ type: 'who' });
  }

  add(subscription: Subscription): void {
    this.#places.set(subscription, { key: ++this.#lastKey, stream: null, heldSince: Date.now() });
    subscription.show(WAITING);
    this.#summarize();
    this.#ask();
  }

  remove(subscription: Subscription): void {
    const place = this.#places.get(subscription);
    if (place !== undefined) {
      this.#places.delete(subscription);
      this.#leave(subscription, place);
      this.#ask();
    }
  }

  setPresence(presence: Presence): void {
    this.#presence = presence;
    this.#ask();
  }

  retryNow(): void {
    this.#send({ type: 'retry' });
  }

  close(): void {
    this.#closed = true;
    this.#tables.clear();
    this.#places.clear();
  }

  /** A message came. */
  hear(message: Message): void {
    if (message.type === 'lead') {
      if (message.from !== this.leader) {
        this.#follow(message.from, message.notes);
      }
      return;
    }
    if (message.from !== this.leader) {
      return; // a leader that was replaced, and doesn't know it yet
    }
    switch (message.type) {
      case 'note':
        this.#notes.set(message.note.id, this.#keepCursor(message.note));
        break;
      case 'placed':
        this.#placed(message.key, message.note, message.copy, message.had);
        break;
      case 'refused':
        this.#find(message.key)?.refuse(message.reason, message.code);
        break;
      case 'document':
        this.#receive(message.stream, parseDocument(message.text));
        break;
      case 'again':
        this.#tables.get(message.stream)?.expectRepeats(matcherOf(message));
        break;
      case 'status':
        this.#show(message.stream, message.status);
        break;
      case 'ended':
        this.#notes.delete(message.stream);
        this.#tables.delete(message.stream);
        this.#summarize();
        break;
      default:
        break;
    }
  }

  /** Stop following. Gives all that a leader needs. */
  handOver(): Handover {
    this.#closed = true;
    const streams = [...this.#notes.values()].map(({ id, spec, alone, cursor, missing }) => ({
      id,
      spec,
      alone,
      cursor,
      missing,
      table: this.#tables.get(id) ?? null,
      heldSince: this.#heldSince(id, spec.selectors),
    }));
    const places = new Map<Subscription, string | null>();
    for (const [subscription, { stream }] of this.#places) {
      places.set(subscription, stream);
    }
    return { streams, places };
  }

  #follow(leader: string, notes: readonly StreamNote[]): void {
    this.leader = leader;
    const theirs = new Map(notes.map((note) => [note.id, note]));
    for (const [subscription, place] of this.#places) {
      const note = place.stream === null ? undefined : theirs.get(place.stream);
      const mine = place.stream === null ? undefined : this.#notes.get(place.stream);
      if (place.stream !== null && (note === undefined || note.cursor !== mine?.cursor)) {
        // The new leader is at another cursor: this tab is sent its copy, and compares point by
        // point.
        this.#leave(subscription, place);
      }
    }
    this.#notes.clear();
    for (const [id, note] of theirs) {
      this.#notes.set(id, note);
    }
    for (const id of [...this.#tables.keys()]) {
      if (!theirs.has(id)) {
        this.#tables.delete(id);
      }
    }
    for (const { id, status } of notes) {
      this.#show(id, status);
    }
    this.#want();
  }

  /** Send what this tab wants, once for all changes of one turn. */
  #ask(): void {
    if (!this.#planned) {
      this.#planned = true;
      queueMicrotask(() => {
        this.#planned = false;
        this.#want();
      });
    }
  }

  #want(): void {
    if (this.leader !== null && !this.#closed) {
      const wants: Want[] = [...this.#places].map(([{ spec }, { key, stream }]) => ({
        key,
        spec,
        stream,
      }));
      this.#send({ type: 'want', wants, presence: this.#presence, to: this.leader });
    }
  }

  #placed(
    key: number,
    note: StreamNote,
    copy: Parameters<SeriesTable['load']>[0],
    had: readonly string[],
  ): void {
    const subscription = this.#find(key);
    if (subscription === undefined) {
      return;
    }
    const place = this.#places.get(subscription)!;
    this.#leave(subscription, place);
    this.#notes.set(note.id, this.#keepCursor(note));
    let table = this.#tables.get(note.id);
    if (table === undefined) {
      table = new SeriesTable(note.spec.merge, note.spec.keep ? note.spec.window : null);
      this.#tables.set(note.id, table);
    }
    table.attach(subscription, note.alone ? null : matcherOf(subscription.spec), had);
    table.load(copy, had);
    place.stream = note.id;
    place.heldSince = Date.now() - (subscription.spec.window ?? 0);
    this.#show(note.id, note.status);
  }

  /** Here, the cursor of a stream is that of the newest document that came. */
  #keepCursor(note: StreamNote): StreamNote {
    const known = this.#notes.get(note.id);
    return known === undefined ? note : { ...note, cursor: known.cursor };
  }

  #receive(stream: string, document: Document): void {
    const note = this.#notes.get(stream);
    if (note !== undefined && 'id' in document && document.id !== undefined) {
      this.#notes.set(stream, { ...note, cursor: document.id });
    }
    this.#tables.get(stream)?.take(document);
  }

  #show(stream: string, status: Status): void {
    const note = this.#notes.get(stream);
    if (note !== undefined) {
      this.#notes.set(stream, { ...note, status });
      showAll(this.#tables.get(stream)?.subscriptions ?? [], status);
      this.#summarize();
    }
  }

  #leave(subscription: Subscription, place: Place): void {
    if (place.stream !== null) {
      this.#tables.get(place.stream)?.detach(subscription);
      place.stream = null;
    }
  }

  #find(key: number): Subscription | undefined {
    for (const [subscription, place] of this.#places) {
      if (place.key === key) {
        return subscription;
      }
    }
    return undefined;
  }

  /**
   * From when on all of a stream is held here. That is now, if it has selectors that only other
   * tabs asked for.
   */
  #heldSince(stream: string, selectors: readonly string[]): number {
    const mine = new Set<string>();
    let since = Number.NEGATIVE_INFINITY;
    for (const [subscription, place] of this.#places) {
      if (place.stream === stream) {
        for (const selector of subscription.spec.selectors) {
          mine.add(selector);
        }
        since = Math.max(since, place.heldSince);
      }
    }
    return selectors.every((one) => mine.has(one)) ? since : Date.now();
  }

  #summarize(): void {
    const statuses = [...this.#places.values()].map(({ stream }) =>
      stream === null ? WAITING : (this.#notes.get(stream)?.status ?? WAITING),
    );
    this.#onStatus(overall(statuses));
  }
}
