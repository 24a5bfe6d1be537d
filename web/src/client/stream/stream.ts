/**
 * A stream that lasts: one cursor, kept over transports, lost connections and restarts of the
 * server.
 */

import { onNetworkChange } from '../links/network.ts';
import { backOff } from '../links/retry.ts';
import { TIMING, type Timing } from '../links/timing.ts';
import type { End, Link, Listener, Request, Transport } from '../links/transport.ts';
import { Upgrade } from '../links/upgrade.ts';
import { type Document, epochOf, older, type Query, streamUrl } from '../protocol/documents.ts';
import type { TokenSource } from './credentials.ts';
import { DesiredQuery } from './desired-query.ts';
import { Dialer } from './dialer.ts';
import { Epochs } from './epochs.ts';
import { LatencyMeter, measureRoundTrip } from './latency.ts';
import { type LinkOwner, LiveLink } from './live-link.ts';
import { isOffline, onOffline, onReturn, type Presence } from './presence.ts';
import { IDLE, type Status } from './status.ts';
import { Watchdog } from './watchdog.ts';

export interface StreamOptions {
  readonly url: URL;
  readonly query?: Query;
  /** In order of preference. */
  readonly transports: readonly Transport[];
  /** Fetches the past that a link can't be told to; the last of `transports` if left out. */
  readonly poller?: Transport;
  readonly token?: TokenSource;
  readonly onDocument: (document: Document) => void;
  readonly onStatus?: (status: Status) => void;
  /**
   * The server refuses these selectors, which `change` asked for, for the reason in `end`. The
   * stream goes on without them.
   */
  readonly onLeftOut?: (selectors: readonly string[], end: End) => void;
  /** What comes next for these selectors may repeat what has come. */
  readonly onAgain?: (selectors: readonly string[]) => void;
  readonly timing?: Partial<Timing>;
  readonly random?: () => number;
  readonly measure?: (url: URL) => Promise<number | null>;
}

/** Milliseconds that a link may be silent once the device is offline. */
const OFFLINE_MS = 3_000;
const OFFLINE = 'this device is offline';
/**
 * A link that goes silent, and delivered nothing after its first milliseconds, is held back by a
 * proxy.
 */
const BURST_MS = 2_000;

/** Holds one link at a time. Nothing happens before `start`; `close` ends it for good. */
export class Stream {
  /** The newest cursor, or null before the first. */
  cursor: string | null = null;

  readonly #options: StreamOptions;
  readonly #transports: readonly Transport[];
  readonly #timing: Timing;
  readonly #random: () => number;
  readonly #dialer: Dialer;
  readonly #desired: DesiredQuery;
  readonly #upgrade: Upgrade;
  readonly #latency: LatencyMeter;
  readonly #epochs = new Epochs();
  readonly #watchdog: Watchdog;
  readonly #owner: LinkOwner;
  #current: Status = IDLE;
  #live: LiveLink | null = null;
  #failures = 0;
  #notBefore = 0;
  /** When the newest try began. */
  #triedAt = 0;
  /** Until the next try. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #unlisten: (() => void)[] = [];
  /** One link is replaced by another: the status doesn't show that nothing is open for a moment. */
  #moving = false;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#transports = options.transports;
    this.#timing = { ...TIMING, ...options.timing };
    this.#random = options.random ?? Math.random;
    this.#desired = new DesiredQuery(options.query ?? {});
    this.#dialer = new Dialer(this.#transports, this.#timing, options.token ?? null, {
      opening: (token) => this.#opening(token),
      won: (transport, link) => this.#won(transport, link),
      lost: (end) => this.#ended(end),
      noToken: (reason) => this.#retryLater({ advice: 'back-off', reason }),
      warned: (document) => options.onDocument(document),
    });
    this.#upgrade = new Upgrade(
      this.#transports,
      this.#timing,
      () => this.#requestToTry(),
      (name) => {
        this.#dialer.network.worked(name);
        this.#move();
      },
    );
    this.#latency = new LatencyMeter(
      options.url,
      this.#timing.measure,
      options.measure ?? measureRoundTrip,
      (change) => this.#show(change),
    );
    this.#watchdog = new Watchdog(() => this.#overdue());
    this.#owner = {
      desired: this.#desired,
      poller: options.poller ?? this.#transports.at(-1)!,
      random: this.#random,
      missingRequest: () => {
        const url = streamUrl(options.url, this.#desired.adding(), null);
        return () => ({ url: new URL(url), token: this.#dialer.token });
      },
      cursor: () => this.cursor,
      again: (selectors) => options.onAgain?.(selectors),
      deliver: (document) => options.onDocument(document),
      filled: (selectors, since, id) => this.#filled(selectors, since, id),
      leaveOut: (selectors, end) => this.#leaveOut(selectors, end),
      reopen: () => this.#move(),
    };
  }

  get status(): Status {
    return this.#current;
  }

  /** Selectors that were asked for, and whose history has not come. */
  get missing(): readonly string[] {
    return this.#desired.missing;
  }

  /** Begin, or begin again after `close`. */
  start(): void {
    if (this.#current.phase === 'closed') {
      this.#unlisten = [
        onReturn(this.#wake),
        onOffline(this.#wentOffline),
        onNetworkChange(this.#networkChanged),
      ];
      if (this.#desired.presence === 'none') {
        this.#pause();
      } else {
        this.#connect();
      }
    }
  }

  /** Close the link and stop trying. The cursor stays. */
  close(): void {
    for (const undo of this.#unlisten.splice(0)) {
      undo();
    }
    this.#drop();
    this.#show({ phase: 'closed' });
  }

  /**
   * Try now rather than when it was planned, and start again a try that takes long; does nothing
   * while there is a link.
   */
  retryNow(): void {
    const { phase } = this.#current;
    const long = Date.now() - this.#triedAt >= this.#timing.headStart;
    if (phase === 'waiting' || phase === 'refused' || (phase === 'connecting' && long)) {
      this.#dialer.credentials.forget();
      this.#connect();
    }
  }

  /** Whether the page is visible, and so how much is needed now. */
  setPresence(presence: Presence): void {
    const before = this.#desired.presence;
    this.#desired.presence = presence;
    if (presence === before || this.#current.phase === 'closed') {
      return;
    }
    if (presence === 'none') {
      if (this.#current.phase !== 'refused') {
        this.#pause();
      }
    } else if (this.#current.phase === 'paused') {
      this.#failures = 0;
      this.#connect();
    } else {
      this.#live?.tell();
    }
  }

  #pause(): void {
    this.#drop();
    this.#show({ phase: 'paused', reason: 'nobody is looking' });
  }

  /**
   * Show something else: other selectors, or another rate. What was shown already goes on without
   * loss; what is added begins with its window.
   */
  change(query: Query): void {
    if (this.cursor === null && this.#live === null) {
      this.#desired.replace(query);
      if (this.#dialer.racing) {
        this.#connect();
      }
      return;
    }
    const live = this.#live;
    if (live !== null) {
      // A selector that was left out a moment ago is wanted again. Its history comes only if the
      // server was told of both.
      const { missing } = this.#desired;
      const added = this.#desired.added(query);
      if (added.some((one) => !missing.includes(one) && live.shown.includes(one))) {
        live.flush();
      }
    }
    this.#desired.change(query);
    if (live !== null) {
      live.tell();
    } else if (this.#dialer.racing) {
      this.#connect();
    }
  }

  /** The page or the network is back: do now what timers were waiting to do. */
  readonly #wake = (): void => {
    if (this.#current.phase === 'waiting' && Date.now() >= this.#notBefore) {
      this.#failures = 0;
      this.#connect();
    } else {
      this.#watchdog.check();
    }
  };

  /** The network is gone. A link would notice much later; one to this machine still works. */
  readonly #wentOffline = (): void => {
    if (this.#current.phase === 'waiting') {
      this.#show({ offline: true, reason: OFFLINE });
    } else if (this.#live !== null) {
      this.#watchdog.hasten(OFFLINE_MS);
    }
  };

  /** The device is on another network: transports that failed on the last one may work here. */
  readonly #networkChanged = (): void => {
    this.#dialer.network.reset();
    this.#wake();
    if (this.#live !== null) {
      this.#upgrade.tryNow(this.#live.transport);
    }
  };

  #connect(): void {
    this.#drop();
    if (!this.#moving) {
      this.#show({ phase: 'connecting', attempt: this.#failures + 1 });
    }
    this.#triedAt = Date.now();
    this.#dialer.dial();
  }

  #opening(token: string | null): () => Request {
    if (this.#desired.coversNothing) {
      this.#options.onAgain?.(this.#desired.missing);
      this.cursor = null;
    }
    if (this.cursor === null) {
      this.#desired.cover();
    }
    return this.#requestWith(token);
  }

  /** What links ask for: never more than the cursor covers. */
  #requestWith(token: string | null): () => Request {
    return () => ({
      url: streamUrl(this.#options.url, this.#desired.opening(), this.cursor),
      token,
    });
  }

  /** What a try of a better transport asks for; null while it had better not be tried. */
  #requestToTry(): (() => Request) | null {
    const token = this.#dialer.credentials.get();
    const { presence, coversNothing } = this.#desired;
    if (this.cursor === null || coversNothing || token instanceof Promise || presence !== 'full') {
      return null;
    }
    return this.#requestWith(token);
  }

  #won(transport: Transport, link: Link): Listener {
    const live = new LiveLink(transport, link, this.#owner);
    this.#live = live;
    this.#moving = false;
    this.#show({
      phase: 'live',
      transport: transport.name,
      attempt: 0,
      cutSince: null,
      awaySince: null,
      offline: false,
      reason: '',
      code: '',
    });
    this.#upgrade.serving(transport);
    this.#latency.start();
    live.tell();
    return {
      received: (document) => {
        // An error only says why the link is about to end: that is no sign of life.
        if (document.type !== 'error') {
          this.#heard(live);
        }
        this.#take(live, document);
      },
      alive: (id) => {
        if (id !== undefined) {
          this.cursor = id;
          this.#epochs.met(epochOf(id), Date.now());
        }
        this.#heard(live);
      },
      ended: (end) => {
        this.#live = null;
        live.stop();
        this.#countSuccess(live);
        this.#ended(end);
      },
    };
  }

  #heard(live: LiveLink): void {
    live.heardAt = Date.now();
    this.#watchdog.heard(live.transport.hold);
    const several = this.#epochs.several(live.heardAt);
    if (several !== this.#current.several) {
      this.#show({ several });
    }
  }

  #take(live: LiveLink, document: Document): void {
    if (document.type === 'hello') {
      this.#watchdog.heartbeat = document.heartbeat;
      this.#epochs.met(document.epoch, Date.now());
      if (!live.greeted) {
        this.#desired.granted(document.granted.max_hz);
      }
      this.#greet(live, document.session);
    }
    if (document.type === 'hello' || document.type === 'heartbeat') {
      this.#setAway(document.away);
    }
    this.#options.onDocument(document);
    if (this.#live !== live) {
      return; // the page closed this stream when it was given the document
    }
    if ('id' in document && document.id !== undefined) {
      this.cursor = document.id;
      if (live.settled && document.type !== 'gap') {
        this.#desired.cover();
      }
    }
    if (document.type === 'points') {
      // What is replayed is old, and says nothing about the connection.
      if (document.time !== undefined) {
        this.#latency.arrived(document.points.at(-1)?.[1]);
      }
    } else if (document.type === 'goaway') {
      this.#countSuccess(live);
      this.#notBefore = Date.now() + document.retry;
      this.#wait(document.retry, 'the server is going away');
    }
  }

  /** `away` is for how many seconds the server has not reached its log; undefined while it does. */
  #setAway(away: number | undefined): void {
    const { awaySince } = this.#current;
    if (away === undefined) {
      if (awaySince !== null) {
        this.#show({ awaySince: null });
      }
    } else if (awaySince === null) {
      this.#show({ awaySince: Date.now() - away * 1000 });
    }
  }

  #greet(live: LiveLink, session: string): void {
    if (!live.greet(session)) {
      return;
    }
    const { missing, outdated } = this.#desired;
    if (missing.length > 0) {
      this.#options.onAgain?.(missing);
    }
    if (outdated) {
      live.tell();
    }
  }

  /**
   * The history of what was missing has come by polls beside the live link. Open one link for all
   * of it, from the older of the two cursors; what comes again by that is recognised.
   */
  #filled(selectors: readonly string[], since: string | null, id: string | undefined): void {
    this.cursor = since === null || id === undefined ? null : older(since, id);
    this.#desired.cover(selectors);
    this.#options.onAgain?.(this.#desired.shown);
    this.#move();
  }

  /** Open another link in the place of this one. */
  #move(): void {
    this.#moving = true;
    this.#connect();
  }

  #leaveOut(selectors: readonly string[], end: End): void {
    this.#desired.leaveOut(selectors);
    this.#options.onLeftOut?.(selectors, end);
  }

  /** A link ended, or none could be opened. */
  #ended(end: End): void {
    const wasMoving = this.#moving;
    this.#moving = false;
    if (end.unauthorized === true && this.#dialer.credentials.refused()) {
      this.#connect();
      return;
    }
    const lost = end.code === 'cursor' && this.cursor !== null;
    const { missing } = this.#desired;
    if (lost) {
      // The server doesn't know this cursor: begin again without one, and report a gap.
      this.#options.onDocument({ type: 'gap', id: this.cursor!, lost: null });
      this.cursor = null;
    } else if (end.advice === 'never' && missing.length > 0) {
      // It is the added selectors that are refused: what was asked for before still works.
      this.#leaveOut(missing, end);
      this.#connect();
      return;
    } else if (end.advice === 'never') {
      this.#drop();
      const { reason, code = end.unauthorized ? 'unauthorized' : '' } = end;
      this.#show({ phase: 'refused', cutSince: this.#cutSince(), reason, code });
      return;
    }
    this.#retryLater(wasMoving ? { ...end, advice: 'at-once' } : end);
  }

  #retryLater(end: End): void {
    const atOnce = end.advice === 'at-once' && this.#failures === 0;
    const delay = atOnce ? 0 : backOff(this.#failures, this.#random);
    this.#failures += 1;
    this.#notBefore = Date.now() + (end.after ?? 0);
    this.#wait(Math.max(end.after ?? 0, delay), end.reason, end.code);
  }

  /** Nothing came for too long: replace the link. */
  #overdue(): void {
    const live = this.#live;
    if (live === null) {
      return;
    }
    this.#countSuccess(live);
    if (live.heardAt - live.since < BURST_MS && this.#transports.length > 1) {
      // It opened and then delivered nothing: something between here and the server holds it back.
      this.#dialer.network.failed(live.transport.name);
    }
    this.#failures += 1;
    this.#wait(0, 'the connection went silent');
  }

  #countSuccess(live: LiveLink): void {
    // A link that lasted is a success, unless each link leads to another server.
    if (Date.now() - live.since >= this.#timing.settled && !this.#current.several) {
      this.#failures = 0;
      this.#dialer.credentials.accepted();
    }
  }

  #wait(delay: number, reason: string, code = ''): void {
    this.#drop();
    const retryAt = Date.now() + delay;
    const offline = isOffline();
    const why = offline ? OFFLINE : reason;
    const notBefore = this.#notBefore > Date.now() ? this.#notBefore : null;
    const cutSince = this.#cutSince();
    this.#show({ phase: 'waiting', retryAt, notBefore, cutSince, offline, reason: why, code });
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #cutSince(): number | null {
    return this.#current.phase === 'live' ? Date.now() : this.#current.cutSince;
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#upgrade.stop();
    this.#latency.stop();
    this.#watchdog.stop();
    this.#dialer.stop();
    this.#live?.close();
    this.#live = null;
  }

  #show(change: Partial<Status>): void {
    const { phase = this.#current.phase } = change;
    const unplanned = phase === 'waiting' ? {} : { retryAt: null, notBefore: null };
    this.#current = { ...this.#current, ...unplanned, ...change };
    this.#options.onStatus?.(this.#current);
  }
}
