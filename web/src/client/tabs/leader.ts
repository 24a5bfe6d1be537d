/** The tab that holds the connection for all that share it. */

import type { Matcher } from '../protocol/selector.ts';
import type { Presence } from '../stream/presence.ts';
import type { Status } from '../stream/status.ts';
import { Pool, type StreamSettings } from '../subscriptions/pool.ts';
import type { Consumer, SharedStream, StreamHandover } from '../subscriptions/shared-stream.ts';
import { Locals, overall, type Source, showAll } from '../subscriptions/source.ts';
import type { SubscriptionSpec } from '../subscriptions/spec.ts';
import type { Subscription } from '../subscriptions/subscription.ts';
import type { Message, Outgoing, Send, StreamNote, Want } from './channel.ts';

/** Milliseconds in which the other tabs have to tell a new leader what they want. */
const INHERITANCE_MS = 5_000;

/** What a tab had when it stopped leading, or following. */
export interface Handover {
  readonly streams: readonly StreamHandover[];
  /** Each subscription of this tab, with the id of the stream that has served it. */
  readonly places: ReadonlyMap<Subscription, string | null>;
}

export class Leader implements Source {
  readonly #send: Send;
  readonly #pool: Pool;
  readonly #locals: Locals;
  /** By tab, then by key. */
  readonly #remotes = new Map<string, Map<number, Remote>>();
  readonly #presences = new Map<string, Presence>();
  readonly #onStatus: (status: Status) => void;
  #presence: Presence = 'full';
  /** Whether all tabs that were there when this one began to lead have said what they want. */
  #settled = false;
  readonly #pruning: ReturnType<typeof setTimeout>;
  /** Calls back once a tab is gone, whether it was closed or crashed. */
  readonly #watchTab: (tab: string, gone: () => void) => void;
  /** This tab is hidden and another one is visible: the other one had better lead. */
  readonly #onUnseen: () => void;

  constructor(
    settings: StreamSettings,
    send: Send,
    handover: Handover,
    watchTab: (tab: string, gone: () => void) => void,
    onUnseen: () => void,
    onStatus: (status: Status) => void,
  ) {
    this.#send = send;
    this.#onStatus = onStatus;
    this.#watchTab = watchTab;
    this.#onUnseen = onUnseen;
    this.#pool = new Pool(
      settings,
      {
        asked: (shared) => this.#tell(() => ({ type: 'note', note: noteOf(shared) })),
        closed: (shared) => {
          this.#tell(() => ({ type: 'ended', stream: shared.id }));
          this.#summarize();
        },
        received: (shared, document) =>
          this.#tell(() => ({
            type: 'document',
            stream: shared.id,
            text: JSON.stringify(document),
          })),
        again: (shared, selectors) =>
          this.#tell(() => ({ type: 'again', stream: shared.id, selectors })),
        shown: (shared, status) => {
          showAll(shared.table.subscriptions, status);
          this.#tell(() => ({ type: 'status', stream: shared.id, status }));
          this.#summarize();
        },
      },
      true,
    );
    this.#locals = new Locals(this.#pool);
    this.#pool.resume(handover.streams);
    // Sent before anything comes by these streams, so that tabs at the same cursor continue with
    // them.
    send({ type: 'lead', notes: this.#notes() });
    for (const [subscription, stream] of handover.places) {
      this.#locals.add(subscription, stream);
    }
    this.#pruning = setTimeout(() => {
      this.#settled = true;
      this.#pool.prune();
    }, INHERITANCE_MS);
  }

  add(subscription: Subscription): void {
    this.#locals.add(subscription);
  }

  remove(subscription: Subscription): void {
    this.#locals.remove(subscription);
  }

  setPresence(presence: Presence): void {
    this.#presence = presence;
    this.#sharePresence();
  }

  retryNow(): void {
    this.#pool.retryNow();
  }

  /** A message came from another tab. */
  hear(message: Message): void {
    switch (message.type) {
      case 'who':
        this.#meet(message.from);
        this.#send({ type: 'lead', notes: this.#notes(), to: message.from });
        break;
      case 'ping':
        this.#send({ type: 'pong', to: message.from });
        break;
      case 'want':
        this.#meet(message.from);
        this.#presences.set(message.from, message.presence);
        this.#sharePresence();
        this.#want(message.from, message.wants);
        break;
      case 'retry':
        this.#pool.retryNow();
        break;
      case 'bye':
        this.#part(message.from);
        break;
      default:
        break;
    }
  }

  /** Stop leading. Gives all that the next leader needs. */
  handOver(): Handover {
    clearTimeout(this.#pruning);
    const streams = [...this.#pool.all].map((shared) => ({
      id: shared.id,
      spec: specOf(shared),
      alone: shared.alone,
      cursor: shared.stream.cursor,
      missing: shared.stream.missing,
      table: shared.table,
      heldSince: shared.heldSince,
    }));
    const places = new Map<Subscription, string | null>();
    for (const [subscription, shared] of this.#locals.served()) {
      places.set(subscription, shared?.id ?? null);
    }
    this.#pool.close();
    return { streams, places };
  }

  close(): void {
    clearTimeout(this.#pruning);
    this.#pool.close();
  }

  #meet(tab: string): void {
    if (!this.#remotes.has(tab)) {
      this.#remotes.set(tab, new Map());
      this.#watchTab(tab, () => this.#part(tab));
    }
  }

  #part(tab: string): void {
    for (const remote of this.#remotes.get(tab)?.values() ?? []) {
      this.#pool.remove(remote);
    }
    this.#remotes.delete(tab);
    this.#presences.delete(tab);
    this.#sharePresence();
  }

  /** Serve all that a tab wants, and stop serving what it no longer wants. */
  #want(tab: string, wants: readonly Want[]): void {
    const served = this.#remotes.get(tab)!;
    const keys = new Set(wants.map(({ key }) => key));
    for (const [key, remote] of [...served]) {
      if (!keys.has(key)) {
        served.delete(key);
        this.#pool.remove(remote);
      }
    }
    for (const { key, spec, stream } of wants) {
      if (served.has(key)) {
        continue;
      }
      const remote = new Remote(tab, key, spec, this.#send);
      served.set(key, remote);
      if (stream !== null) {
        remote.silent = true;
        const rejoined = this.#pool.rejoin(remote, stream);
        remote.silent = false;
        if (rejoined) {
          continue;
        }
      }
      this.#pool.add(remote);
    }
  }

  #sharePresence(): void {
    const others = [...this.#presences.values()];
    const all = [this.#presence, ...others];
    this.#pool.setPresence(all.includes('full') ? 'full' : all.includes('low') ? 'low' : 'none');
    if (this.#presence !== 'full' && others.includes('full')) {
      this.#onUnseen();
    }
  }

  #notes(): StreamNote[] {
    return [...this.#pool.all].map(noteOf);
  }

  /** Send a message, if there are other tabs, or may be. */
  #tell(message: () => Outgoing): void {
    if (this.#remotes.size > 0 || !this.#settled) {
      this.#send(message());
    }
  }

  #summarize(): void {
    const mine = new Set<SharedStream>();
    for (const [, shared] of this.#locals.served()) {
      if (shared !== undefined) {
        mine.add(shared);
      }
    }
    this.#onStatus(overall([...mine].map(({ stream }) => stream.status)));
  }
}

/** A subscription of another tab. */
class Remote implements Consumer {
  readonly spec: SubscriptionSpec;
  /** Set while it is put back to the stream that it had, which its tab knows of. */
  silent = false;
  readonly #tab: string;
  readonly #key: number;
  readonly #send: Send;

  constructor(tab: string, key: number, spec: SubscriptionSpec, send: Send) {
    this.#tab = tab;
    this.#key = key;
    this.spec = spec;
    this.#send = send;
  }

  placed(shared: SharedStream, matcher: Matcher | null, had: readonly string[]): void {
    if (!this.silent) {
      const copy = shared.table.copy(matcher, this.spec.window);
      this.#send({
        type: 'placed',
        to: this.#tab,
        key: this.#key,
        note: noteOf(shared),
        copy,
        had,
      });
    }
  }

  removed(): void {
    // Its tab is told when it is placed elsewhere, or refused.
  }

  refused(reason: string, code: string): void {
    this.#send({ type: 'refused', to: this.#tab, key: this.#key, reason, code });
  }
}

function specOf(shared: SharedStream): SubscriptionSpec {
  const { selectors, window, points, keep, maxHz, merge, step } = shared;
  return { selectors, window, points, keep, maxHz, merge, step };
}

function noteOf(shared: SharedStream): StreamNote {
  return {
    id: shared.id,
    spec: specOf(shared),
    alone: shared.alone,
    cursor: shared.stream.cursor,
    missing: shared.stream.missing,
    status: shared.stream.status,
  };
}
