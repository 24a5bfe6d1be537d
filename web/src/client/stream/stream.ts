/** A stream that stays: one cursor carried over transports, drops and restarts of the server. */

import { longpoll } from '../links/longpoll.ts';
import { Network, onNetworkChange } from '../links/network.ts';
import { type Judge, Race } from '../links/race.ts';
import { backOff } from '../links/retry.ts';
import { sse } from '../links/sse.ts';
import { TIMING, type Timing } from '../links/timing.ts';
import type { End, Link, Listener, Request, Transport } from '../links/transport.ts';
import { Upgrade } from '../links/upgrade.ts';
import { websocket } from '../links/websocket.ts';
import { type Document, epochOf, older, type Query, streamUrl } from '../protocol/documents.ts';
import { Aside } from './aside.ts';
import { Credentials, type TokenSource } from './credentials.ts';
import { Epochs } from './epochs.ts';
import { Intent } from './intent.ts';
import { isOffline, onOffline, onReturn, type Presence } from './presence.ts';
import { IDLE, type Status } from './status.ts';
import { measureRoundTrip, Vitals } from './vitals.ts';

export interface StreamOptions {
  readonly url: URL;
  readonly query?: Query;
  /** In order of preference. */
  readonly transports?: readonly Transport[];
  readonly token?: TokenSource;
  readonly onDocument: (document: Document) => void;
  readonly onStatus?: (status: Status) => void;
  /**
   * The server refuses these selectors, asked for by `change`, for the reason that `end` has. The
   * stream goes on without them.
   */
  readonly onLeftOut?: (selectors: readonly string[], end: End) => void;
  /** What these bring next may have come already. */
  readonly onAgain?: (selectors: readonly string[]) => void;
  readonly timing?: Partial<Timing>;
  readonly random?: () => number;
  readonly measure?: (url: URL) => Promise<number | null>;
}

/** All that this client speaks, in order of preference. */
export const TRANSPORTS: readonly Transport[] = [websocket, sse, longpoll];

/** A heartbeat that is this many times overdue will not come. */
const PATIENCE = 2.5;
const DEFAULT_HEARTBEAT = 15;
/** How long a link may be quiet once the device is offline. */
const UNPLUGGED_MS = 3_000;
const OFFLINE = 'this device is offline';
/** Between two messages on a link. */
const TELL_MS = 100;
/** A link that goes silent and delivered nothing after so long only ever opened. */
const BURST_MS = 2_000;

/** The link that won, and what is known of it. */
interface Live {
  readonly transport: Transport;
  readonly link: Link;
  readonly since: number;
  heardAt: number;
  /** For saying something to it; null until its `hello`. */
  session: string | null;
  /** Answers to a `watch` that have not come, one that is about to be said included. */
  asked: number;
  /** When the last one was said. */
  toldAt: number;
  telling: ReturnType<typeof setTimeout> | undefined;
  say: () => void;
  /** Selectors of the view that the server has been told to show. */
  shown: readonly string[];
  readonly aside: Aside;
}

/** Holds one link at a time. Nothing happens before `start`; `close` ends it for good. */
export class Stream {
  /** The newest cursor, or null before the first. */
  cursor: string | null = null;

  private readonly options: StreamOptions;
  private readonly transports: readonly Transport[];
  private readonly timing: Timing;
  private readonly random: () => number;
  private readonly network: Network;
  private readonly credentials: Credentials;
  private readonly intent: Intent;
  private readonly upgrade: Upgrade;
  private readonly vitals: Vitals;
  private readonly epochs = new Epochs();
  private readonly poller: Transport;
  /** What the newest link was opened with. */
  private token: string | null = null;
  private current: Status = IDLE;
  private race: Race | null = null;
  private live: Live | null = null;
  private failures = 0;
  private heartbeat = DEFAULT_HEARTBEAT;
  private deadline = Number.POSITIVE_INFINITY;
  private notBefore = 0;
  /** When the newest try began. */
  private triedAt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private unlisten: (() => void)[] = [];
  /** Between two transports: the page need not see that nothing is open for a moment. */
  private moving = false;
  /** Counts what was begun, so that a token that comes late finds out that it does. */
  private tries = 0;

  constructor(options: StreamOptions) {
    this.options = options;
    this.transports = options.transports ?? TRANSPORTS;
    this.poller = this.transports.find(({ name }) => name === 'longpoll') ?? longpoll;
    this.timing = { ...TIMING, ...options.timing };
    this.random = options.random ?? Math.random;
    this.network = new Network(this.timing);
    this.credentials = new Credentials(options.token ?? null);
    this.intent = new Intent(options.query ?? {});
    this.upgrade = new Upgrade(
      this.transports,
      this.timing,
      () => this.askToTry(),
      (name) => {
        this.network.worked(name);
        this.move();
      },
    );
    const show = (change: Partial<Status>): void => this.show(change);
    const measure = options.measure ?? measureRoundTrip;
    this.vitals = new Vitals(options.url, this.timing.measure, measure, show);
  }

  get status(): Status {
    return this.current;
  }

  /** Selectors that were asked for, and whose history has not come. */
  get missing(): readonly string[] {
    return this.intent.missing;
  }

  /** Begin, or begin again after `close`. */
  start(): void {
    if (this.current.phase === 'closed') {
      this.unlisten = [onReturn(this.wake), onOffline(this.unplugged), onNetworkChange(this.moved)];
      if (this.intent.presence === 'none') {
        this.pause();
      } else {
        this.connect();
      }
    }
  }

  /** Let go of the link and try no more. The cursor stays. */
  close(): void {
    for (const undo of this.unlisten.splice(0)) {
      undo();
    }
    this.drop();
    this.show({ phase: 'closed' });
  }

  /**
   * Try now rather than when it was planned, and anew where a try takes long; does nothing while
   * there is a link.
   */
  retryNow(): void {
    const { phase } = this.current;
    const long = Date.now() - this.triedAt >= this.timing.headStart;
    if (phase === 'waiting' || phase === 'refused' || (phase === 'connecting' && long)) {
      this.credentials.forget();
      this.connect();
    }
  }

  /** How much is needed now: all, less, or nothing until it is again. */
  attend(presence: Presence): void {
    const before = this.intent.presence;
    this.intent.presence = presence;
    if (presence === before || this.current.phase === 'closed') {
      return;
    }
    if (presence === 'none') {
      if (this.current.phase !== 'refused') {
        this.pause();
      }
    } else if (this.current.phase === 'paused') {
      this.failures = 0;
      this.connect();
    } else if (this.live !== null) {
      this.tell(this.live);
    }
  }

  private pause(): void {
    this.drop();
    this.show({ phase: 'paused', reason: 'nobody is looking' });
  }

  /**
   * Show something else: other selectors, or another rate. What was shown already goes on without
   * loss; what is added begins with its window.
   */
  change(query: Query): void {
    if (this.cursor === null && this.live === null) {
      this.intent.replace(query);
      if (this.race !== null) {
        this.connect();
      }
      return;
    }
    const { live } = this;
    if (live !== null) {
      // Left out a moment ago, and wanted again: its history comes only if the server was told.
      const { missing } = this.intent;
      const added = this.intent.added(query);
      if (added.some((one) => !missing.includes(one) && live.shown.includes(one))) {
        this.sayNow(live);
      }
    }
    this.intent.change(query);
    if (live !== null) {
      this.tell(live);
    } else if (this.race !== null) {
      this.connect();
    }
  }

  /** The page is back, or the network: whatever timers were for, look at it now. */
  private readonly wake = (): void => {
    const now = Date.now();
    if (this.current.phase === 'waiting' && now >= this.notBefore) {
      this.failures = 0;
      this.connect();
    } else if (this.live !== null && now > this.deadline) {
      this.overdue(this.live);
    }
  };

  /** The network is gone, which a link itself would tell much later, if it is of the network at all. */
  private readonly unplugged = (): void => {
    if (this.current.phase === 'waiting') {
      this.show({ offline: true, reason: OFFLINE });
    } else if (this.live !== null) {
      const { live } = this;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.overdue(live), UNPLUGGED_MS);
    }
  };

  /** Another network: what did not work on the last one may work here. */
  private readonly moved = (): void => {
    this.network.forgive();
    this.wake();
    if (this.live !== null) {
      this.upgrade.hurry(this.live.transport);
    }
  };

  private connect(): void {
    this.drop();
    if (!this.moving) {
      this.show({ phase: 'connecting', attempt: this.failures + 1 });
    }
    this.triedAt = Date.now();
    const attempt = ++this.tries;
    const token = this.credentials.get();
    if (token instanceof Promise) {
      token.then(
        (token) => attempt === this.tries && this.open(token),
        (error) => attempt === this.tries && this.noToken(error),
      );
    } else {
      this.open(token);
    }
  }

  private noToken(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.retryLater({ advice: 'back-off', reason: `there is no token: ${why}` });
  }

  private open(token: string | null): void {
    this.token = token;
    if (this.intent.nothing) {
      this.options.onAgain?.(this.intent.missing);
      this.cursor = null;
    }
    if (this.cursor === null) {
      this.intent.settle();
    }
    const request = this.asker(token);
    const judge: Judge = {
      won: (transport, link, failed) => {
        this.race = null;
        for (const { name } of failed) {
          this.network.failed(name);
        }
        return this.won(transport, link);
      },
      lost: (end) => {
        this.race = null;
        this.network.forgive();
        this.ended(end);
      },
      warned: (document) => this.options.onDocument(document),
    };
    this.race = new Race(this.network.order(this.transports), request, this.timing, judge);
    this.race.start();
  }

  /** What links ask for: never more than the cursor is true of. */
  private asker(token: string | null): () => Request {
    return () => ({
      url: streamUrl(this.options.url, this.intent.opening(), this.cursor),
      token,
    });
  }

  /** What a try of a better transport asks for; null while there is nothing to ask, or nobody. */
  private askToTry(): (() => Request) | null {
    const token = this.credentials.get();
    const { presence, nothing } = this.intent;
    if (this.cursor === null || nothing || token instanceof Promise || presence !== 'full') {
      return null;
    }
    return this.asker(token);
  }

  private won(transport: Transport, link: Link): Listener {
    const now = Date.now();
    const live: Live = {
      transport,
      link,
      since: now,
      heardAt: now,
      session: null,
      asked: 0,
      toldAt: Number.NEGATIVE_INFINITY,
      telling: undefined,
      say: () => {},
      shown: this.intent.shown,
      aside: new Aside(this.poller, this.random),
    };
    this.live = live;
    this.moving = false;
    this.network.worked(transport.name);
    this.show({
      phase: 'live',
      transport: transport.name,
      attempt: 0,
      cutSince: null,
      awaySince: null,
      offline: false,
      reason: '',
      code: '',
    });
    this.upgrade.serving(transport);
    this.vitals.start();
    this.tell(live);
    return {
      received: (document) => {
        // An error only says why the link is about to end: that is no sign of life.
        if (document.type !== 'error') {
          this.heard(live);
        }
        this.take(live, document);
      },
      alive: (id) => {
        if (id !== undefined) {
          this.cursor = id;
          this.epochs.met(epochOf(id), Date.now());
        }
        this.heard(live);
      },
      ended: (end) => {
        this.live = null;
        this.hush(live);
        this.settle(live);
        this.ended(end);
      },
    };
  }

  private heard(live: Live): void {
    live.heardAt = Date.now();
    clearTimeout(this.timer);
    const patience = (this.heartbeat * PATIENCE + live.transport.hold) * 1000;
    this.deadline = live.heardAt + patience;
    this.timer = setTimeout(() => this.overdue(live), patience);
    const several = this.epochs.several(live.heardAt);
    if (several !== this.current.several) {
      this.show({ several });
    }
  }

  private take(live: Live, document: Document): void {
    if (document.type === 'hello') {
      this.heartbeat = document.heartbeat;
      this.epochs.met(document.epoch, Date.now());
      if (live.session === null) {
        this.intent.granted(document.granted.max_hz);
      }
      this.greeted(live, document.session);
    }
    if (document.type === 'hello' || document.type === 'heartbeat') {
      this.logIs(document.away);
    }
    this.options.onDocument(document);
    if (this.live !== live) {
      return; // whoever was told closed this stream
    }
    if ('id' in document && document.id !== undefined) {
      this.cursor = document.id;
      const told = live.session !== null && live.asked === 0 && !live.aside.busy;
      if (told && document.type !== 'gap') {
        this.intent.settle();
      }
    }
    if (document.type === 'points') {
      // What is replayed is as old as it is, however good the way.
      if (document.time !== undefined) {
        this.vitals.arrived(document.points.at(-1)?.[1]);
      }
    } else if (document.type === 'goaway') {
      this.settle(live);
      this.notBefore = Date.now() + document.retry;
      this.wait(document.retry, 'the server is going away');
    }
  }

  /** Take note of whether the server can reach its log, or for how many seconds it can't. */
  private logIs(away: number | undefined): void {
    const { awaySince } = this.current;
    if (away === undefined) {
      if (awaySince !== null) {
        this.show({ awaySince: null });
      }
    } else if (awaySince === null) {
      this.show({ awaySince: Date.now() - away * 1000 });
    }
  }

  private greeted(live: Live, session: string): void {
    if (live.session !== null) {
      live.asked = Math.max(0, live.asked - 1);
      return;
    }
    live.session = session;
    const { missing, outdated } = this.intent;
    if (missing.length > 0) {
      this.options.onAgain?.(missing);
    }
    if (outdated) {
      this.tell(live);
    }
  }

  /**
   * Tell a live link what is wanted. One that can't be told asks so with its next poll, except for
   * what is added: that begins at a cursor of its own.
   */
  private tell(live: Live): void {
    const { watch } = live.link;
    const { session } = live;
    if (watch === undefined) {
      if (this.intent.missing.length > 0) {
        this.bring(live);
      }
      return;
    }
    if (session === null || live.telling !== undefined || live.aside.busy) {
      return; // its hello makes up for it, or what is about to be said, or the next link
    }
    live.asked += 1;
    // A page that asks for a hundred things one by one is not to be taken for a flood.
    const wait = live.toldAt + TELL_MS - Date.now();
    live.say = () => {
      const message = this.intent.watch();
      live.toldAt = Date.now();
      live.shown = message.select ?? [];
      void watch(message, session).then((end) => this.told(live, end));
    };
    live.telling = setTimeout(() => this.sayNow(live), Math.max(0, wait));
    if (wait <= 0) {
      this.sayNow(live);
    }
  }

  /** Say at once what is about to be said. */
  private sayNow(live: Live): void {
    if (live.telling !== undefined) {
      clearTimeout(live.telling);
      live.telling = undefined;
      live.say();
    }
  }

  private told(live: Live, end: End | null): void {
    if (end === null || this.live !== live) {
      return;
    }
    // The stream itself goes on as it was.
    live.asked = Math.max(0, live.asked - 1);
    const { missing } = this.intent;
    if (missing.length > 0) {
      if (end.advice === 'never' && end.unauthorized !== true) {
        this.leaveOut(missing, end);
      } else {
        // 404: this stream is at another server than the one that was asked.
        this.bring(live);
      }
    } else if (end.unusable) {
      this.move();
    }
  }

  /**
   * Have the history of what is added come by the side of a link that can't be told of it, and then
   * open one for all of it, from where both have come to: what comes again is taken for known.
   */
  private bring(live: Live): void {
    if (live.aside.busy) {
      return; // the next link makes up for it
    }
    if (this.intent.nothing) {
      this.move();
      return;
    }
    live.aside.fetch(() => {
      const { missing } = this.intent;
      const since = this.cursor;
      const url = streamUrl(this.options.url, this.intent.adding(), null);
      return {
        request: () => ({ url: new URL(url), token: this.token }),
        came: (documents, id) => {
          this.options.onAgain?.(missing);
          for (const { series = [], points, ended } of documents) {
            // Without its cursor, which is that of these selectors alone.
            const endings = ended === undefined ? {} : { ended };
            this.options.onDocument({ type: 'points', series, points, ...endings });
          }
          if (this.live === live) {
            this.cursor = since === null || id === undefined ? null : older(since, id);
            this.intent.settle(missing);
            this.options.onAgain?.(this.intent.shown);
            this.move();
          }
        },
        refused: (end) => this.leaveOut(missing, end),
      };
    });
  }

  /** Open another link in the place of this one. */
  private move(): void {
    this.moving = true;
    this.connect();
  }

  /** Say nothing more to a link, nor by its side. */
  private hush(live: Live): void {
    clearTimeout(live.telling);
    live.aside.close();
  }

  private leaveOut(selectors: readonly string[], end: End): void {
    this.intent.leaveOut(selectors);
    this.options.onLeftOut?.(selectors, end);
  }

  /** A link ended, or none could be opened. */
  private ended(end: End): void {
    const wasMoving = this.moving;
    this.moving = false;
    if (end.unauthorized === true && this.credentials.refused()) {
      this.connect();
      return;
    }
    const lost = end.code === 'cursor' && this.cursor !== null;
    const { missing } = this.intent;
    if (lost) {
      // A cursor that the server can't have given is of no use: begin anew, and say so.
      this.options.onDocument({ type: 'gap', id: this.cursor!, lost: null });
      this.cursor = null;
    } else if (end.advice === 'never' && missing.length > 0) {
      // What worked before still does: it is what was added that is refused.
      this.leaveOut(missing, end);
      this.connect();
      return;
    } else if (end.advice === 'never') {
      this.drop();
      const { reason, code = end.unauthorized ? 'unauthorized' : '' } = end;
      this.show({ phase: 'refused', cutSince: this.cut(), reason, code });
      return;
    }
    this.retryLater(wasMoving ? { ...end, advice: 'at-once' } : end);
  }

  private retryLater(end: End): void {
    const atOnce = end.advice === 'at-once' && this.failures === 0;
    const delay = atOnce ? 0 : backOff(this.failures, this.random);
    this.failures += 1;
    this.notBefore = Date.now() + (end.after ?? 0);
    this.wait(Math.max(end.after ?? 0, delay), end.reason, end.code);
  }

  /** Nothing came for too long. */
  private overdue(live: Live): void {
    this.settle(live);
    if (live.heardAt - live.since < BURST_MS && this.transports.length > 1) {
      // It opened, and then delivered nothing: something on the way holds it back.
      this.network.failed(live.transport.name);
    }
    this.failures += 1;
    this.wait(0, 'the connection went silent');
  }

  private settle(live: Live): void {
    // Where each link leads to another server, the next one is no better.
    if (Date.now() - live.since >= this.timing.settled && !this.current.several) {
      this.failures = 0;
      this.credentials.accepted();
    }
  }

  private wait(delay: number, reason: string, code = ''): void {
    this.drop();
    const retryAt = Date.now() + delay;
    const offline = isOffline();
    const why = offline ? OFFLINE : reason;
    const notBefore = this.notBefore > Date.now() ? this.notBefore : null;
    const cutSince = this.cut();
    this.show({ phase: 'waiting', retryAt, notBefore, cutSince, offline, reason: why, code });
    this.timer = setTimeout(() => this.connect(), delay);
  }

  private cut(): number | null {
    return this.current.phase === 'live' ? Date.now() : this.current.cutSince;
  }

  private drop(): void {
    this.tries += 1;
    clearTimeout(this.timer);
    this.upgrade.stop();
    this.vitals.stop();
    this.deadline = Number.POSITIVE_INFINITY;
    this.race?.close();
    this.race = null;
    if (this.live !== null) {
      this.hush(this.live);
      this.live.link.close();
      this.live = null;
    }
  }

  private show(change: Partial<Status>): void {
    const { phase = this.current.phase } = change;
    const unplanned = phase === 'waiting' ? {} : { retryAt: null, notBefore: null };
    this.current = { ...this.current, ...unplanned, ...change };
    this.options.onStatus?.(this.current);
  }
}
