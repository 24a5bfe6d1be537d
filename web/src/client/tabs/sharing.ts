/**
 * One connection for all tabs of a browser that share it.
 *
 * The tab that holds a Web Lock leads: it has the streams, and sends what they bring to the others
 * over a BroadcastChannel. Every tab knows what is asked for and how far each stream has come. When
 * the leader closes, or crashes, the next tab in line for the lock continues from there, so that no
 * tab misses a point or gets one twice. A leader that no longer answers, for example because the
 * browser has frozen it, loses the lock.
 */

import type { Timing } from '../links/timing.ts';
import { isHidden, type Presence } from '../stream/presence.ts';
import type { Status } from '../stream/status.ts';
import type { StreamSettings } from '../subscriptions/pool.ts';
import type { Source } from '../subscriptions/source.ts';
import type { Subscription } from '../subscriptions/subscription.ts';
import type { Message, Outgoing } from './channel.ts';
import { Follower } from './follower.ts';
import { type Handover, Leader } from './leader.ts';

/** Whether this page can share: Web Locks need a secure context. */
export function sharingPossible(): boolean {
  return (
    typeof navigator !== 'undefined' &&
    navigator.locks !== undefined &&
    typeof BroadcastChannel !== 'undefined'
  );
}

/**
 * Version of the messages between tabs. Tabs of another version share a connection of their own.
 */
const VERSION = 3;

const NOTHING: Handover = { streams: [], places: new Map() };

export class Sharing implements Source {
  readonly #settings: StreamSettings;
  readonly #name: string;
  readonly #onStatus: (status: Status) => void;
  readonly #timing: Timing;
  readonly #tab = crypto.getRandomValues(new Uint32Array(3)).join('-');
  #channel: BroadcastChannel | null = null;
  #role: Leader | Follower;
  #presence: Presence = 'full';
  #abort = new AbortController();
  /** Gives the lock back. */
  #release: () => void = () => {};
  #heardAt = Date.now();
  #pingedAt: number | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    settings: StreamSettings,
    key: string,
    onStatus: (status: Status) => void,
    timing: Timing,
  ) {
    this.#settings = settings;
    this.#name = `pushsvc ${VERSION} ${key}`;
    this.#onStatus = onStatus;
    this.#timing = timing;
    this.#role = new Follower(this.#send, NOTHING, onStatus);
    this.#enter();
    globalThis.addEventListener?.('pagehide', this.#hide);
    globalThis.addEventListener?.('pageshow', this.#show);
  }

  add(subscription: Subscription): void {
    this.#role.add(subscription);
  }

  remove(subscription: Subscription): void {
    this.#role.remove(subscription);
  }

  setPresence(presence: Presence): void {
    this.#presence = presence;
    this.#role.setPresence(presence);
  }

  retryNow(): void {
    this.#role.retryNow();
  }

  close(): void {
    globalThis.removeEventListener?.('pagehide', this.#hide);
    globalThis.removeEventListener?.('pageshow', this.#show);
    this.#leave();
    this.#role.close();
  }

  readonly #send = (message: Outgoing): void => {
    this.#channel?.postMessage({ ...message, from: this.#tab } as Message);
  };

  /** Take part: open the channel, and wait in line for the lock. */
  #enter(): void {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = (event: MessageEvent<Message>) => this.#hear(event.data);
    // A lock of its own, which this tab holds as long as it lives, and from before its first
    // message: when the leader gets that lock, this tab is gone.
    void hold(`${this.#name}/${this.#tab}`, { signal }, () => {
      if (this.#role instanceof Follower) {
        this.#role.greet();
      }
      this.#queue(false);
      return never(signal);
    });
    this.#heardAt = Date.now();
    this.#pingedAt = null;
    this.#timer = setInterval(() => this.#look(), this.#timing.leaderQuiet / 4);
  }

  /** Stop taking part, and let another tab lead. */
  #leave(): void {
    clearInterval(this.#timer);
    this.#send({ type: 'bye' });
    this.#abort.abort();
    this.#release();
    this.#channel?.close();
    this.#channel = null;
  }

  /** A page that is left may be kept, frozen, in the back/forward cache. */
  readonly #hide = (): void => {
    const handover = this.#role instanceof Leader ? this.#role.handOver() : this.#role.handOver();
    this.#leave();
    this.#follow(handover);
  };

  readonly #show = (event: Event): void => {
    if ((event as PageTransitionEvent).persisted && this.#role instanceof Follower) {
      this.#follow(this.#role.handOver());
      this.#enter();
    }
  };

  #queue(steal: boolean): void {
    const { signal } = this.#abort;
    // A request that steals a lock can't be aborted.
    const options = steal ? { steal } : { signal };
    hold(this.#name, options, () => this.#lead(signal)).then((ended) => {
      if (ended === 'stolen' && !signal.aborted) {
        this.#lockStolen();
      }
    });
  }

  /** This tab has the lock, until this resolves. */
  #lead(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#role instanceof Leader) {
      return Promise.resolve();
    }
    const handover = this.#role.handOver();
    this.#role = new Leader(
      this.#settings,
      this.#send,
      handover,
      (tab, gone) => void hold(`${this.#name}/${tab}`, { signal }, async () => gone()),
      () => this.#handOver(),
      this.#onStatus,
    );
    this.#role.setPresence(this.#presence);
    return new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  /** Another tab leads now: this one did not answer it in time. */
  #lockStolen(): void {
    if (this.#role instanceof Leader) {
      this.#stepDown();
    }
  }

  #stepDown(): void {
    if (this.#role instanceof Leader) {
      const follower = this.#follow(this.#role.handOver());
      this.#queue(false);
      follower.greet();
    }
  }

  /** Let a visible tab lead: browsers hardly run the timers of hidden ones. */
  #handOver(): void {
    // After what the leader is doing now.
    queueMicrotask(() => {
      if (this.#role instanceof Leader) {
        this.#stepDown();
        this.#release();
      }
    });
  }

  #follow(handover: Handover): Follower {
    const follower = new Follower(this.#send, handover, this.#onStatus);
    this.#role = follower;
    follower.setPresence(this.#presence);
    return follower;
  }

  #hear(message: Message): void {
    if (message.to !== undefined && message.to !== this.#tab) {
      return;
    }
    if (
      this.#role instanceof Follower &&
      (message.type === 'lead' || message.from === this.#role.leader)
    ) {
      this.#heardAt = Date.now();
      this.#pingedAt = null;
    }
    this.#role.hear(message);
  }

  /** Check that the leader still answers, while this tab is visible. */
  #look(): void {
    const { leaderQuiet } = this.#timing;
    const now = Date.now();
    if (this.#role instanceof Leader || isHidden()) {
      this.#heardAt = now;
      this.#pingedAt = null;
    } else if (this.#pingedAt !== null && now - this.#pingedAt >= leaderQuiet) {
      this.#heardAt = now;
      this.#pingedAt = null;
      this.#queue(true);
    } else if (this.#pingedAt === null && now - this.#heardAt >= leaderQuiet) {
      // A ping comes first: it may be this tab that has slept.
      this.#pingedAt = now;
      if (this.#role.leader === null) {
        this.#role.greet();
      } else {
        this.#send({ type: 'ping' });
      }
    }
  }
}

/** Hold a lock while `held` runs. Resolves to how that ended. */
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
    // The request was aborted, or the lock was stolen.
    return got ? 'stolen' : 'done';
  }
}

function never(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
}
