/**
 * One connection for all tabs of a browser that share it.
 *
 * Whoever holds a Web Lock leads: it has the streams, and gives what they bring to the others over a
 * BroadcastChannel. Every tab knows what is asked for and how far each stream has come, so that when
 * the leader closes, or crashes, the next in line for the lock goes on from there, and nobody misses
 * anything or is told anything twice. A leader that no longer answers, as one that the browser has
 * frozen, loses the lock.
 */

import type { Timing } from '../links/timing.ts';
import { isHidden, type Presence } from '../stream/presence.ts';
import type { Status } from '../stream/status.ts';
import type { StreamSettings } from '../subscriptions/pool.ts';
import type { Source } from '../subscriptions/source.ts';
import type { Subscription } from '../subscriptions/subscription.ts';
import type { Message, Said } from './channel.ts';
import { Follower } from './follower.ts';
import { Leader, type Legacy } from './leader.ts';

/** Whether this page can share: Web Locks need a secure context. */
export function sharingPossible(): boolean {
  return (
    typeof navigator !== 'undefined' &&
    navigator.locks !== undefined &&
    typeof BroadcastChannel !== 'undefined'
  );
}

/** Of what tabs say to each other: one that was loaded before an upgrade goes on among its own. */
const VERSION = 2;

const NOTHING: Legacy = { remains: [], places: new Map() };

export class Sharing implements Source {
  private readonly settings: StreamSettings;
  private readonly name: string;
  private readonly onStatus: (status: Status) => void;
  private readonly timing: Timing;
  private readonly tab = crypto.getRandomValues(new Uint32Array(3)).join('-');
  private channel: BroadcastChannel | null = null;
  private role: Leader | Follower;
  private presence: Presence = 'full';
  private abort = new AbortController();
  /** Gives the lock back. */
  private release: () => void = () => {};
  private heardAt = Date.now();
  private pingedAt: number | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    settings: StreamSettings,
    key: string,
    onStatus: (status: Status) => void,
    timing: Timing,
  ) {
    this.settings = settings;
    this.name = `pushsvc ${VERSION} ${key}`;
    this.onStatus = onStatus;
    this.timing = timing;
    this.role = new Follower(this.say, NOTHING, onStatus);
    this.enter();
    globalThis.addEventListener?.('pagehide', this.hide);
    globalThis.addEventListener?.('pageshow', this.show);
  }

  add(subscription: Subscription): void {
    this.role.add(subscription);
  }

  remove(subscription: Subscription): void {
    this.role.remove(subscription);
  }

  attend(presence: Presence): void {
    this.presence = presence;
    this.role.attend(presence);
  }

  retryNow(): void {
    this.role.retryNow();
  }

  close(): void {
    globalThis.removeEventListener?.('pagehide', this.hide);
    globalThis.removeEventListener?.('pageshow', this.show);
    this.leave();
    this.role.close();
  }

  private readonly say = (said: Said): void => {
    this.channel?.postMessage({ ...said, from: this.tab } as Message);
  };

  /** Take part: known to the others, and in line for the lock. */
  private enter(): void {
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = (event: MessageEvent<Message>) => this.hear(event.data);
    // Held as long as this tab lives, and before anyone hears of it: so the leader knows when it
    // is gone.
    void hold(`${this.name}/${this.tab}`, { signal }, () => {
      if (this.role instanceof Follower) {
        this.role.greet();
      }
      this.queue(false);
      return never(signal);
    });
    this.heardAt = Date.now();
    this.pingedAt = null;
    this.timer = setInterval(() => this.look(), this.timing.leaderQuiet / 4);
  }

  /** Take part no more, and let others lead. */
  private leave(): void {
    clearInterval(this.timer);
    this.say({ type: 'bye' });
    this.abort.abort();
    this.release();
    this.channel?.close();
    this.channel = null;
  }

  /** A page that goes may be kept by the browser for a way back, and is frozen meanwhile. */
  private readonly hide = (): void => {
    const legacy = this.role instanceof Leader ? this.role.abdicate() : this.role.succeed();
    this.leave();
    this.follow(legacy);
  };

  private readonly show = (event: Event): void => {
    if ((event as PageTransitionEvent).persisted && this.role instanceof Follower) {
      this.follow(this.role.succeed());
      this.enter();
    }
  };

  private queue(steal: boolean): void {
    const { signal } = this.abort;
    // A lock that is stolen can't be waited for.
    const options = steal ? { steal } : { signal };
    hold(this.name, options, () => this.lead(signal)).then((ended) => {
      if (ended === 'stolen' && !signal.aborted) {
        this.depose();
      }
    });
  }

  /** The lock is ours. It is given back when this resolves. */
  private lead(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.role instanceof Leader) {
      return Promise.resolve();
    }
    const legacy = this.role.succeed();
    this.role = new Leader(
      this.settings,
      this.say,
      legacy,
      (tab, gone) => void hold(`${this.name}/${tab}`, { signal }, async () => gone()),
      () => this.handOver(),
      this.onStatus,
    );
    this.role.attend(this.presence);
    return new Promise((resolve) => {
      this.release = resolve;
    });
  }

  /** Another tab leads now: this one did not answer it in time. */
  private depose(): void {
    if (this.role instanceof Leader) {
      this.stepDown();
    }
  }

  private stepDown(): void {
    if (this.role instanceof Leader) {
      const follower = this.follow(this.role.abdicate());
      this.queue(false);
      follower.greet();
    }
  }

  /** Let a tab lead that is in sight: the browser hardly runs the timers of one that is not. */
  private handOver(): void {
    // Not in the middle of what the leader is about.
    queueMicrotask(() => {
      if (this.role instanceof Leader) {
        this.stepDown();
        this.release();
      }
    });
  }

  private follow(legacy: Legacy): Follower {
    const follower = new Follower(this.say, legacy, this.onStatus);
    this.role = follower;
    follower.attend(this.presence);
    return follower;
  }

  private hear(message: Message): void {
    if (message.to !== undefined && message.to !== this.tab) {
      return;
    }
    if (
      this.role instanceof Follower &&
      (message.type === 'lead' || message.from === this.role.leader)
    ) {
      this.heardAt = Date.now();
      this.pingedAt = null;
    }
    this.role.hear(message);
  }

  /** See whether the leader is still there, while somebody looks at this tab. */
  private look(): void {
    const { leaderQuiet } = this.timing;
    const now = Date.now();
    if (this.role instanceof Leader || isHidden()) {
      this.heardAt = now;
      this.pingedAt = null;
    } else if (this.pingedAt !== null && now - this.pingedAt >= leaderQuiet) {
      this.heardAt = now;
      this.pingedAt = null;
      this.queue(true);
    } else if (this.pingedAt === null && now - this.heardAt >= leaderQuiet) {
      // It is asked first, also by a tab that has slept itself.
      this.pingedAt = now;
      if (this.role.leader === null) {
        this.role.greet();
      } else {
        this.say({ type: 'ping' });
      }
    }
  }
}

/** Hold a lock while `held` runs. Tells how that ended. */
async function hold(
  name: string,
  options: { signal?: AbortSignal; steal?: boolean },
  held: () => Promise<unknown>,
): Promise<'done' | 'stolen'> {
  let got = false;
  try {
    await navigator.locks.request(name, options, () => {
      got = true;
      return held();
    });
    return 'done';
  } catch {
    // Not waited for any more, or taken away.
    return got ? 'stolen' : 'done';
  }
}

function never(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
}
