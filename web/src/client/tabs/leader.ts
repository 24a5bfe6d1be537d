/** The tab that holds the connection for all that share it. */

import type { Matcher } from '../protocol/selector.ts';
import type { Presence } from '../stream/presence.ts';
import type { Status } from '../stream/status.ts';
import { Pool, type StreamSettings } from '../subscriptions/pool.ts';
import { Local, overall, type Source, showAll } from '../subscriptions/source.ts';
import type { Subscription } from '../subscriptions/subscription.ts';
import type { Remains, Taker, Trunk } from '../subscriptions/trunk.ts';
import type { Wish } from '../subscriptions/wish.ts';
import type { Message, Note, Say, Want } from './channel.ts';

/** How long the others have to say that they are there, after the leader has changed. */
const INHERITANCE_MS = 5_000;

/** What a tab was when it stopped leading, or following. */
export interface Legacy {
  readonly remains: readonly Remains[];
  /** Each subscription of this tab, with the stream that has served it. */
  readonly places: ReadonlyMap<Subscription, string | null>;
}

export class Leader implements Source {
  private readonly say: Say;
  private readonly pool: Pool;
  private readonly locals = new Map<Subscription, Local>();
  /** By tab, then by key. */
  private readonly remotes = new Map<string, Map<number, Remote>>();
  private readonly presences = new Map<string, Presence>();
  private readonly onStatus: (status: Status) => void;
  private presence: Presence = 'full';
  /** Whether all who were there when this tab began to lead have said so. */
  private settled = false;
  private readonly pruning: ReturnType<typeof setTimeout>;
  /** Calls back once a tab is gone, however it went. */
  private readonly watchTab: (tab: string, gone: () => void) => void;
  /** This tab is out of sight, and another one is not: it had better lead. */
  private readonly onUnseen: () => void;

  constructor(
    settings: StreamSettings,
    say: Say,
    legacy: Legacy,
    watchTab: (tab: string, gone: () => void) => void,
    onUnseen: () => void,
    onStatus: (status: Status) => void,
  ) {
    this.say = say;
    this.onStatus = onStatus;
    this.watchTab = watchTab;
    this.onUnseen = onUnseen;
    this.pool = new Pool(
      settings,
      {
        asked: (trunk) => this.tell(() => ({ type: 'note', note: noteOf(trunk) })),
        closed: (trunk) => {
          this.tell(() => ({ type: 'ended', trunk: trunk.id }));
          this.summarize();
        },
        received: (trunk, document) =>
          this.tell(() => ({
            type: 'document',
            trunk: trunk.id,
            text: JSON.stringify(document),
          })),
        again: (trunk, selectors) =>
          this.tell(() => ({ type: 'again', trunk: trunk.id, selectors })),
        shown: (trunk, status) => {
          showAll(trunk.feed.subscriptions, status);
          this.tell(() => ({ type: 'status', trunk: trunk.id, status }));
          this.summarize();
        },
      },
      true,
    );
    this.pool.resume(legacy.remains);
    // Said before anything comes of these streams: whoever has come as far goes on with them.
    say({ type: 'lead', notes: this.notes() });
    for (const [subscription, trunk] of legacy.places) {
      const local = new Local(subscription);
      this.locals.set(subscription, local);
      if (trunk === null || !this.pool.rejoin(local, trunk)) {
        this.pool.add(local);
      }
    }
    this.pruning = setTimeout(() => {
      this.settled = true;
      this.pool.prune();
    }, INHERITANCE_MS);
  }

  add(subscription: Subscription): void {
    const local = new Local(subscription);
    this.locals.set(subscription, local);
    this.pool.add(local);
  }

  remove(subscription: Subscription): void {
    const local = this.locals.get(subscription);
    if (local !== undefined) {
      this.locals.delete(subscription);
      this.pool.remove(local);
    }
  }

  attend(presence: Presence): void {
    this.presence = presence;
    this.attendAll();
  }

  retryNow(): void {
    this.pool.retryNow();
  }

  /** Another tab speaks. */
  hear(message: Message): void {
    switch (message.type) {
      case 'who':
        this.meet(message.from);
        this.say({ type: 'lead', notes: this.notes(), to: message.from });
        break;
      case 'ping':
        this.say({ type: 'pong', to: message.from });
        break;
      case 'want':
        this.meet(message.from);
        this.presences.set(message.from, message.presence);
        this.attendAll();
        this.want(message.from, message.wants);
        break;
      case 'retry':
        this.pool.retryNow();
        break;
      case 'bye':
        this.part(message.from);
        break;
      default:
        break;
    }
  }

  /** Stop leading, and tell what another leader can go on from. */
  abdicate(): Legacy {
    clearTimeout(this.pruning);
    const remains = [...this.pool.all].map((trunk) => ({
      id: trunk.id,
      wish: wishOf(trunk),
      alone: trunk.alone,
      cursor: trunk.stream.cursor,
      missing: trunk.stream.missing,
      feed: trunk.feed,
      heldSince: trunk.heldSince,
    }));
    const places = new Map<Subscription, string | null>();
    for (const [subscription, local] of this.locals) {
      places.set(subscription, this.pool.whereIs(local)?.id ?? null);
    }
    this.pool.close();
    return { remains, places };
  }

  close(): void {
    clearTimeout(this.pruning);
    this.pool.close();
  }

  private meet(tab: string): void {
    if (!this.remotes.has(tab)) {
      this.remotes.set(tab, new Map());
      this.watchTab(tab, () => this.part(tab));
    }
  }

  private part(tab: string): void {
    for (const remote of this.remotes.get(tab)?.values() ?? []) {
      this.pool.remove(remote);
    }
    this.remotes.delete(tab);
    this.presences.delete(tab);
    this.attendAll();
  }

  /** Serve all that a tab wants, and nothing that it wants no more. */
  private want(tab: string, wants: readonly Want[]): void {
    const served = this.remotes.get(tab)!;
    const keys = new Set(wants.map(({ key }) => key));
    for (const [key, remote] of [...served]) {
      if (!keys.has(key)) {
        served.delete(key);
        this.pool.remove(remote);
      }
    }
    for (const { key, wish, trunk } of wants) {
      if (served.has(key)) {
        continue;
      }
      const remote = new Remote(tab, key, wish, this.say);
      served.set(key, remote);
      if (trunk !== null) {
        remote.silent = true;
        const rejoined = this.pool.rejoin(remote, trunk);
        remote.silent = false;
        if (rejoined) {
          continue;
        }
      }
      this.pool.add(remote);
    }
  }

  private attendAll(): void {
    const others = [...this.presences.values()];
    const all = [this.presence, ...others];
    this.pool.attend(all.includes('full') ? 'full' : all.includes('low') ? 'low' : 'none');
    if (this.presence !== 'full' && others.includes('full')) {
      this.onUnseen();
    }
  }

  private notes(): Note[] {
    return [...this.pool.all].map(noteOf);
  }

  /** Say something to the others, if there are any, or may be. */
  private tell(say: () => Parameters<Say>[0]): void {
    if (this.remotes.size > 0 || !this.settled) {
      this.say(say());
    }
  }

  private summarize(): void {
    const mine = new Set<Trunk>();
    for (const local of this.locals.values()) {
      const trunk = this.pool.whereIs(local);
      if (trunk !== undefined) {
        mine.add(trunk);
      }
    }
    this.onStatus(overall([...mine].map(({ stream }) => stream.status)));
  }
}

/** A subscription of another tab. */
class Remote implements Taker {
  readonly wish: Wish;
  /** While it is put back where it was, there is nothing to tell. */
  silent = false;
  private readonly tab: string;
  private readonly key: number;
  private readonly say: Say;

  constructor(tab: string, key: number, wish: Wish, say: Say) {
    this.tab = tab;
    this.key = key;
    this.wish = wish;
    this.say = say;
  }

  placed(trunk: Trunk, matcher: Matcher | null, had: readonly string[]): void {
    if (!this.silent) {
      const copy = trunk.feed.copy(matcher, this.wish.window);
      this.say({ type: 'placed', to: this.tab, key: this.key, note: noteOf(trunk), copy, had });
    }
  }

  removed(): void {
    // It finds out by being placed elsewhere, or refused.
  }

  refused(reason: string, code: string): void {
    this.say({ type: 'refused', to: this.tab, key: this.key, reason, code });
  }
}

function wishOf(trunk: Trunk): Wish {
  const { selectors, window, points, keep, maxHz, merge } = trunk;
  return { selectors, window, points, keep, maxHz, merge };
}

function noteOf(trunk: Trunk): Note {
  return {
    id: trunk.id,
    wish: wishOf(trunk),
    alone: trunk.alone,
    cursor: trunk.stream.cursor,
    missing: trunk.stream.missing,
    status: trunk.stream.status,
  };
}
