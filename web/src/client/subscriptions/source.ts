import type { Matcher } from '../protocol/selector.ts';
import type { Presence } from '../stream/presence.ts';
import { IDLE, type Phase, type Status } from '../stream/status.ts';
import { Pool, type StreamSettings } from './pool.ts';
import type { Consumer, SharedStream } from './shared-stream.ts';
import type { SubscriptionSpec } from './spec.ts';
import type { Subscription } from './subscription.ts';

/** What serves the subscriptions of a client: streams of this tab, or of another one. */
export interface Source {
  add(subscription: Subscription): void;
  remove(subscription: Subscription): void;
  setPresence(presence: Presence): void;
  retryNow(): void;
  close(): void;
}

/** A subscription of this tab as a consumer. */
class Local implements Consumer {
  readonly subscription: Subscription;

  constructor(subscription: Subscription) {
    this.subscription = subscription;
  }

  get spec(): SubscriptionSpec {
    return this.subscription.spec;
  }

  placed(shared: SharedStream, matcher: Matcher | null, had: readonly string[]): void {
    if (!shared.table.serves(this.subscription)) {
      shared.table.attach(this.subscription, matcher, had);
    }
    if (shared.started) {
      this.subscription.show(shared.stream.status);
    }
  }

  removed(shared: SharedStream): void {
    shared.table.detach(this.subscription);
  }

  refused(reason: string, code: string): void {
    this.subscription.refuse(reason, code);
  }
}

/** The subscriptions of this tab, as consumers of a pool's streams. */
export class Locals {
  readonly #pool: Pool;
  readonly #all = new Map<Subscription, Local>();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Serve one more, by the stream with the id `stream` if that goes on and can. */
  add(subscription: Subscription, stream: string | null = null): void {
    const local = new Local(subscription);
    this.#all.set(subscription, local);
    if (stream === null || !this.#pool.rejoin(local, stream)) {
      this.#pool.add(local);
    }
  }

  remove(subscription: Subscription): void {
    const local = this.#all.get(subscription);
    if (local !== undefined) {
      this.#all.delete(subscription);
      this.#pool.remove(local);
    }
  }

  /** Each subscription, with the stream that serves it, if one does. */
  *served(): Iterable<[Subscription, SharedStream | undefined]> {
    for (const [subscription, local] of this.#all) {
      yield [subscription, this.#pool.whereIs(local)];
    }
  }
}

/** Streams of this tab only, which no other tab shares. */
export class OwnSource implements Source {
  readonly pool: Pool;
  readonly #locals: Locals;

  constructor(settings: StreamSettings, onStatus: (status: Status) => void) {
    this.pool = new Pool(settings, {
      shown: (shared, status) => {
        showAll(shared.table.subscriptions, status);
        onStatus(overall([...this.pool.all].map(({ stream }) => stream.status)));
      },
      closed: () => onStatus(overall([...this.pool.all].map(({ stream }) => stream.status))),
    });
    this.#locals = new Locals(this.pool);
  }

  add(subscription: Subscription): void {
    this.#locals.add(subscription);
  }

  remove(subscription: Subscription): void {
    this.#locals.remove(subscription);
  }

  setPresence(presence: Presence): void {
    this.pool.setPresence(presence);
  }

  retryNow(): void {
    this.pool.retryNow();
  }

  close(): void {
    this.pool.close();
  }
}

/** Give subscriptions the status of their stream. */
export function showAll(subscriptions: Iterable<Subscription>, status: Status): void {
  for (const subscription of subscriptions) {
    if (status.phase === 'live') {
      subscription.admit();
    }
    subscription.show(status);
  }
}

/** From best to worst. */
const BY_TROUBLE: readonly Phase[] = [
  'closed',
  'live',
  'paused',
  'connecting',
  'waiting',
  'refused',
];

/** One status for several streams: the worst. */
export function overall(statuses: readonly Status[]): Status {
  let worst = IDLE;
  for (const status of statuses) {
    if (BY_TROUBLE.indexOf(status.phase) > BY_TROUBLE.indexOf(worst.phase)) {
      worst = status;
    }
  }
  const away = statuses.flatMap(({ awaySince }) => awaySince ?? []);
  return {
    ...worst,
    several: statuses.some(({ several }) => several),
    awaySince: away.length > 0 ? Math.min(...away) : null,
  };
}
