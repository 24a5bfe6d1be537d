/** The client that a page makes: one per service, any number of subscriptions. */

import { TIMING, type Timing } from './links/timing.ts';
import type { Transport, TransportName } from './links/transport.ts';
import type { TokenSource } from './stream/credentials.ts';
import { type Presence, watchPresence } from './stream/presence.ts';
import { IDLE, type Status } from './stream/status.ts';
import type { StreamSettings } from './subscriptions/pool.ts';
import { OwnSource, type Source } from './subscriptions/source.ts';
import { makeSpec } from './subscriptions/spec.ts';
import { call, type SubscribeOptions, Subscription } from './subscriptions/subscription.ts';
import { Sharing, sharingPossible } from './tabs/sharing.ts';

export interface ConnectOptions {
  /**
   * A token, or a function that fetches one: called at first, and again when the server refuses
   * one.
   */
  readonly token?: TokenSource;
  /** Only these, in this order. Left out: WebSocket, then SSE, then long polling. */
  readonly transports?: readonly TransportName[];
  /**
   * One connection for all tabs of this origin that say so: those with the same URL, and the same
   * name if this is one. Tabs that show different users' data must give different names. Needs
   * Web Locks, hence a secure context (HTTPS or localhost); without them each tab connects itself.
   */
  readonly share?: boolean | string;
  /**
   * Ask for less while the page is hidden, and for nothing after five minutes; true if left out.
   */
  readonly pauseHidden?: boolean;
  readonly onStatus?: (status: Status) => void;
  /** Overrides how long the client waits for what. */
  readonly timing?: Partial<Timing>;
}

export class Client {
  readonly #options: ConnectOptions;
  /** Where the points come from. @internal */
  readonly source: Source;
  readonly #subscriptions = new Set<Subscription>();
  readonly #listeners = new Set<(status: Status) => void>();
  readonly #unwatch: () => void;
  #current: Status = IDLE;
  #closed = false;

  /** Use `connect`. @internal */
  constructor(
    url: URL,
    options: ConnectOptions,
    transports: readonly Transport[],
    poller?: Transport,
  ) {
    this.#options = options;
    const timing = { ...TIMING, ...options.timing };
    const settings: StreamSettings = {
      url,
      timing,
      transports,
      ...(poller === undefined ? {} : { poller }),
      ...(options.token === undefined ? {} : { token: options.token }),
    };
    const show = (status: Status): void => this.#show(status);
    const { share = false } = options;
    this.source =
      share !== false && sharingPossible()
        ? new Sharing(settings, `${url.href}#${share === true ? '' : share}`, show, timing)
        : new OwnSource(settings, show);
    const setPresence = (presence: Presence): void => this.source.setPresence(presence);
    this.#unwatch = options.pauseHidden === false ? () => {} : watchPresence(setPresence, timing);
  }

  /** The status of the connection; of several streams, the worst. */
  get status(): Status {
    return this.#current;
  }

  /** Calls `listener` now, and at every change. Gives the function that ends that. */
  onStatus(listener: (status: Status) => void): () => void {
    this.#listeners.add(listener);
    call(listener, this.#current);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Watch series: one PromQL selector, several, or '' for every series there is.
   *
   * Throws for options that can't be meant; what only the server can tell is wrong goes to
   * `onError`, and to iterators.
   */
  subscribe(selector: string | readonly string[], options: SubscribeOptions = {}): Subscription {
    if (this.#closed) {
      throw new TypeError('this client is closed');
    }
    const subscription = new Subscription(makeSpec(selector, options), options, (one) => {
      if (this.#subscriptions.delete(one)) {
        this.source.remove(one);
      }
    });
    if (options.signal?.aborted) {
      subscription.close();
      return subscription;
    }
    this.#subscriptions.add(subscription);
    this.source.add(subscription);
    return subscription;
  }

  /** Try now rather than when it was planned, also where the server refused. */
  retryNow(): void {
    this.source.retryNow();
  }

  /** End all subscriptions, and close the connection. */
  close(): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#unwatch();
      for (const subscription of [...this.#subscriptions]) {
        subscription.close();
      }
      this.source.close();
      this.#show(IDLE);
      this.#listeners.clear();
    }
  }

  #show(status: Status): void {
    this.#current = status;
    call(this.#options.onStatus, status);
    for (const listener of [...this.#listeners]) {
      call(listener, status);
    }
  }
}
