/** The client that a page makes: one per service, any number of subscriptions. */

import { TIMING, type Timing } from './links/timing.ts';
import type { Transport, TransportName } from './links/transport.ts';
import { TRANSPORTS } from './links/transports.ts';
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

/** Where this library was loaded from: the service itself, whatever its path. */
const HERE = import.meta.url;

/**
 * Watch a pushsvc service. `url` is where it is served from, relative to the page if it isn't
 * whole, and the one that this library came from if there is none; the stream's own URL will do
 * too. Nothing is sent before there is a subscription.
 */
export function connect(
  url: string | URL = new URL('./', HERE),
  options: ConnectOptions = {},
): Client {
  return new Client(streamAt(url), options);
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
  constructor(url: URL, options: ConnectOptions, transports?: readonly Transport[]) {
    this.#options = options;
    const timing = { ...TIMING, ...options.timing };
    const settings: StreamSettings = {
      url,
      timing,
      transports: transports ?? named(options.transports),
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

const STREAM = /\/v1\/stream\/?$/;

function streamAt(url: string | URL): URL {
  const base = typeof document === 'undefined' ? globalThis.location?.href : document.baseURI;
  const whole = new URL(url, base);
  whole.search = '';
  whole.hash = '';
  if (STREAM.test(whole.pathname)) {
    whole.pathname = whole.pathname.replace(/\/$/, '');
    return whole;
  }
  whole.pathname = whole.pathname.replace(/\/?$/, '/');
  return new URL('v1/stream', whole);
}

function named(names: readonly TransportName[] | undefined): readonly Transport[] {
  if (names === undefined) {
    return TRANSPORTS;
  }
  if (names.length === 0) {
    throw new TypeError('transports must name one at least');
  }
  return names.map((name) => {
    const found = TRANSPORTS.find((transport) => transport.name === name);
    if (found === undefined) {
      throw new TypeError(
        `there is no transport ${JSON.stringify(name)}: there are websocket, sse and longpoll`,
      );
    }
    return found;
  });
}
