import type { Matcher } from '../protocol/selector.ts';
import type { Presence } from '../stream/presence.ts';
import { IDLE, type Phase, type Status } from '../stream/status.ts';
import { Pool, type StreamSettings } from './pool.ts';
import type { Subscription } from './subscription.ts';
import type { Taker, Trunk } from './trunk.ts';
import type { Wish } from './wish.ts';

/** Where a client's subscriptions are served from: streams of this tab, or of another. */
export interface Source {
  add(subscription: Subscription): void;
  remove(subscription: Subscription): void;
  attend(presence: Presence): void;
  retryNow(): void;
  close(): void;
}

/** A subscription of this tab, in its place. */
export class Local implements Taker {
  readonly subscription: Subscription;

  constructor(subscription: Subscription) {
    this.subscription = subscription;
  }

  get wish(): Wish {
    return this.subscription.wish;
  }

  placed(trunk: Trunk, matcher: Matcher | null, had: readonly string[]): void {
    if (!trunk.feed.serves(this.subscription)) {
      trunk.feed.attach(this.subscription, matcher, had);
    }
    if (trunk.started) {
      this.subscription.show(trunk.stream.status);
    }
  }

  removed(trunk: Trunk): void {
    trunk.feed.detach(this.subscription);
  }

  refused(reason: string, code: string): void {
    this.subscription.refuse(reason, code);
  }
}

/** Streams of this tab alone. */
export class Own implements Source {
  private readonly pool: Pool;
  private readonly locals = new Map<Subscription, Local>();

  constructor(settings: StreamSettings, onStatus: (status: Status) => void) {
    this.pool = new Pool(settings, {
      shown: (trunk, status) => {
        showAll(trunk.feed.subscriptions, status);
        onStatus(overall([...this.pool.all].map(({ stream }) => stream.status)));
      },
      closed: () => onStatus(overall([...this.pool.all].map(({ stream }) => stream.status))),
    });
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
    this.pool.attend(presence);
  }

  retryNow(): void {
    this.pool.retryNow();
  }

  close(): void {
    this.pool.close();
  }
}

/** Tell subscriptions how their stream is. */
export function showAll(subscriptions: Iterable<Subscription>, status: Status): void {
  for (const subscription of subscriptions) {
    if (status.phase === 'live') {
      subscription.admit();
    }
    subscription.show(status);
  }
}

/** From best to worst: a page is told of the stream that is worst off. */
const BY_TROUBLE: readonly Phase[] = [
  'closed',
  'live',
  'paused',
  'connecting',
  'waiting',
  'refused',
];

/** One status for several streams. */
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
