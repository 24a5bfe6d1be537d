/** A stream that stays: one cursor carried over transports, drops and restarts of the server. */

import { Credentials, type TokenSource } from './credentials.ts';
import { longpoll } from './longpoll.ts';
import { Network, onNetworkChange } from './network.ts';
import { onReturn, type Presence } from './presence.ts';
import { type Document, type Query, streamUrl } from './protocol.ts';
import { type Judge, Race } from './race.ts';
import { backOff } from './retry.ts';
import { measureRoundTrip } from './roundtrip.ts';
import { sse } from './sse.ts';
import { IDLE, type Status } from './status.ts';
import { HIDDEN_HZ, LONGEST, TIMING, type Timing } from './timing.ts';
import type { End, Link, Listener, Transport } from './transport.ts';
import { websocket } from './websocket.ts';

export interface StreamOptions {
  readonly url: URL;
  readonly query?: Query;
  /** In order of preference. */
  readonly transports?: readonly Transport[];
  readonly token?: TokenSource;
  readonly onDocument: (document: Document) => void;
  readonly onStatus?: (status: Status) => void;
  /**
   * These selectors, asked for by `change`, can't be added to this stream: the server refuses
   * them, which `end` is about, or the link that it has now can't be told of them (null). The
   * stream goes on without them.
   */
  readonly onLeftOut?: (selectors: readonly string[], end: End | null) => void;
  /** What was asked for by `change` is asked for again: its history comes from the beginning. */
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
/** A link that goes silent and delivered nothing after so long only ever opened. */
const BURST_MS = 2_000;
/** How often a page is told of another lag. */
const LAG_MS = 1_000;

/** The link that won, and what is known of it. */
interface Live {
  readonly transport: Transport;
  readonly link: Link;
  readonly since: number;
  heardAt: number;
  /** For saying something to it; null until its `hello`. */
  session: string | null;
  /** Answers to a `watch` that have not come. */
  asked: number;
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
  private current: Status = IDLE;
  private presence: Presence = 'full';
  /** What the cursor is true of. */
  private settled: Query;
  /** What is to be shown: more than `settled` while the history of what was added is on its way. */
  private wanted: Query;
  private race: Race | null = null;
  private live: Live | null = null;
  private probe: Race | null = null;
  private probeEvery: number;
  private failures = 0;
  private heartbeat = DEFAULT_HEARTBEAT;
  private deadline = Number.POSITIVE_INFINITY;
  private notBefore = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private probeTimer: ReturnType<typeof setTimeout> | undefined;
  private measureTimer: ReturnType<typeof setTimeout> | undefined;
  private unlisten: (() => void)[] = [];
  /** Between two transports: the page need not see that nothing is open for a moment. */
  private moving = false;
  private lagShownAt = 0;
  /** Counts what was begun, so that a token that comes late finds out that it does. */
  private tries = 0;
  /** What the open link was asked for under. */
  private askedPresence: Presence = 'full';
  /** The rate that the server grants who asks for none, as far as is known. */
  private usualHz = 10;

  constructor(options: StreamOptions) {
    this.options = options;
    this.transports = options.transports ?? TRANSPORTS;
    this.timing = { ...TIMING, ...options.timing };
    this.random = options.random ?? Math.random;
    this.network = new Network(this.timing);
    this.credentials = new Credentials(options.token ?? null);
    this.settled = options.query ?? {};
    this.wanted = this.settled;
    this.probeEvery = this.timing.upgrade;
  }

  get status(): Status {
    return this.current;
  }

  /** Begin, or begin again after `close`. */
  start(): void {
    if (this.current.phase === 'closed') {
      this.unlisten = [onReturn(this.wake), onNetworkChange(this.moved)];
      this.connect();
    }
  }

  /** Let go of the link and try no more. The cursor stays. */
  close(): void {
    for (const undo of this.unlisten.splice(0)) {
      undo();
    }
    this.drop();
    this.show({ phase: 'closed', retryAt: null });
  }

  /** Try now rather than when it was planned; does nothing while there is a link. */
  retryNow(): void {
    if (this.current.phase === 'waiting' || this.current.phase === 'refused') {
      this.credentials.forget();
      this.connect();
    }
  }

  /** How much is needed now: all, less, or nothing until it is again. */
  attend(presence: Presence): void {
    const before = this.presence;
    this.presence = presence;
    if (presence === before || this.current.phase === 'closed') {
      return;
    }
    if (presence === 'none') {
      if (this.current.phase !== 'refused') {
        this.drop();
        this.show({ phase: 'paused', retryAt: null, reason: 'nobody is looking' });
      }
    } else if (this.current.phase === 'paused') {
      this.failures = 0;
      this.connect();
    } else if (this.live !== null) {
      void this.tell(this.live, false);
    }
  }

  /**
   * Show something else: other selectors, or another rate. What was shown already goes on without
   * loss; what is added begins with its window. Tells whether that can be done: a link that polls
   * can leave something out, and not begin anything at a cursor of its own.
   */
  change(query: Query): boolean {
    const added = additions(this.settled, query);
    if (this.cursor === null && this.live === null) {
      this.settled = this.wanted = query;
      if (this.race !== null) {
        this.connect();
      }
      return true;
    }
    if (added.length === 0) {
      this.settled = this.wanted = query;
    } else if (this.live !== null && this.live.link.watch === undefined) {
      return false;
    } else {
      this.wanted = query;
    }
    if (this.live !== null) {
      void this.tell(this.live, added.length > 0);
    }
    return true;
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

  /** Another network: what did not work on the last one may work here. */
  private readonly moved = (): void => {
    this.network.forgive();
    this.probeEvery = this.timing.upgrade;
    this.wake();
    if (this.live !== null) {
      this.planProbe(0);
    }
  };

  private connect(): void {
    this.drop();
    if (!this.moving) {
      this.show({ phase: 'connecting', attempt: this.failures + 1, retryAt: null });
    }
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
    if (this.cursor === null) {
      this.settled = this.wanted;
    }
    this.askedPresence = this.presence;
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

  private asker(token: string | null): () => { url: URL; token: string | null } {
    return () => ({ url: streamUrl(this.options.url, this.asking(), this.cursor), token });
  }

  /** What a request asks for: never more than the cursor is true of. */
  private asking(): Query {
    const { maxHz } = this.settled;
    return this.presence === 'full'
      ? this.settled
      : { ...this.settled, maxHz: Math.min(maxHz ?? HIDDEN_HZ, HIDDEN_HZ) };
  }

  private won(transport: Transport, link: Link): Listener {
    const now = Date.now();
    const live: Live = { transport, link, since: now, heardAt: now, session: null, asked: 0 };
    this.live = live;
    this.moving = false;
    this.network.worked(transport.name);
    this.credentials.accepted();
    this.show({
      phase: 'live',
      transport: transport.name,
      attempt: 0,
      retryAt: null,
      cutSince: null,
      reason: '',
      code: '',
    });
    this.planProbe(this.probeEvery);
    this.measure(live);
    const missing = additions(this.settled, this.wanted);
    if (missing.length > 0 && link.watch === undefined) {
      this.leaveOut(missing, null);
    }
    return {
      received: (document) => {
        // An error only says why the link is about to end: that is no sign of life.
        if (document.type !== 'error') {
          this.heard(live);
        }
        this.take(live, document);
      },
      alive: (id) => {
        this.heard(live);
        this.cursor = id ?? this.cursor;
      },
      ended: (end) => {
        this.live = null;
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
  }

  private take(live: Live, document: Document): void {
    if (document.type === 'hello') {
      this.heartbeat = document.heartbeat;
      if (this.settled.maxHz === undefined && this.askedPresence === 'full') {
        this.usualHz = document.granted.max_hz;
      }
      this.greeted(live, document.session);
    }
    this.options.onDocument(document);
    if (this.live !== live) {
      return; // whoever was told closed this stream
    }
    if ('id' in document && document.id !== undefined) {
      this.cursor = document.id;
      if (live.asked === 0 && document.type !== 'gap' && live.session !== null) {
        this.settled = this.wanted;
      }
    }
    if (document.type === 'points') {
      this.lag(document.points.at(-1)?.[1]);
    } else if (document.type === 'goaway') {
      this.settle(live);
      this.notBefore = Date.now() + document.retry;
      this.wait(document.retry, 'the server is going away');
    }
  }

  private greeted(live: Live, session: string): void {
    if (live.session !== null) {
      live.asked = Math.max(0, live.asked - 1);
      return;
    }
    live.session = session;
    const missing = additions(this.settled, this.wanted);
    if (missing.length > 0) {
      this.options.onAgain?.(missing);
    }
    if (missing.length > 0 || this.askedPresence !== this.presence) {
      void this.tell(live, missing.length > 0);
    }
  }

  /** Tell a live link what is wanted. One that can't be told asks so with its next poll. */
  private async tell(live: Live, adding: boolean): Promise<void> {
    if (live.link.watch === undefined || live.session === null) {
      return; // its hello makes up for it
    }
    live.asked += 1;
    this.askedPresence = this.presence;
    const { window, maxHz, select } = { ...this.wanted };
    const lowered = this.presence !== 'full';
    const end = await live.link.watch(
      {
        type: 'watch',
        select: select ?? [],
        ...(adding && window !== undefined ? { window } : {}),
        max_hz: lowered ? Math.min(maxHz ?? HIDDEN_HZ, HIDDEN_HZ) : (maxHz ?? this.usualHz),
      },
      live.session,
    );
    if (end === null || this.live !== live) {
      return;
    }
    // The stream itself goes on as it was.
    live.asked = Math.max(0, live.asked - 1);
    const missing = additions(this.settled, this.wanted);
    if (missing.length > 0) {
      // 404: this stream is at another server than the one that was asked.
      this.leaveOut(missing, end.advice === 'never' ? end : null);
    }
  }

  private leaveOut(selectors: readonly string[], end: End | null): void {
    const { select } = this.wanted;
    if (select !== undefined) {
      this.wanted = { ...this.wanted, select: select.filter((one) => !selectors.includes(one)) };
    }
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
    const missing = additions(this.settled, this.wanted);
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
      this.show({ phase: 'refused', retryAt: null, cutSince: this.cut(), reason, code });
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
    if (Date.now() - live.since >= this.timing.settled) {
      this.failures = 0;
    }
  }

  private wait(delay: number, reason: string, code = ''): void {
    this.drop();
    const retryAt = Date.now() + delay;
    this.show({ phase: 'waiting', retryAt, cutSince: this.cut(), reason, code });
    this.timer = setTimeout(() => this.connect(), delay);
  }

  private cut(): number | null {
    return this.current.phase === 'live' ? Date.now() : this.current.cutSince;
  }

  /** Look for a better transport than the one that serves, and go over to it. */
  private planProbe(delay: number): void {
    clearTimeout(this.probeTimer);
    const serving = this.live?.transport;
    const better = this.transports.slice(0, serving ? this.transports.indexOf(serving) : 0);
    if (better.length === 0) {
      this.probeEvery = this.timing.upgrade;
      return;
    }
    this.probeTimer = setTimeout(() => this.tryBetter(better), delay);
  }

  private tryBetter(better: readonly Transport[]): void {
    const token = this.credentials.get();
    if (this.cursor === null || token instanceof Promise || this.presence !== 'full') {
      this.planProbe(this.probeEvery);
      return;
    }
    this.probeEvery = Math.min(LONGEST, this.probeEvery * 2);
    this.probe?.close();
    this.probe = new Race(better, this.asker(token), this.timing, {
      won: (transport, link) => {
        // It was only asked whether it delivers. The cursor has moved on since it was asked, so
        // that it is opened once more, when the other is closed: nothing can come twice.
        link.close();
        this.network.worked(transport.name);
        this.moving = true;
        this.connect();
        return NOBODY;
      },
      lost: () => {
        this.probe = null;
        this.planProbe(this.probeEvery);
      },
      warned: () => {},
    });
    this.probe.start();
  }

  private measure(live: Live): void {
    clearTimeout(this.measureTimer);
    const measure = this.options.measure ?? measureRoundTrip;
    void measure(this.options.url).then((roundTrip) => {
      if (this.live === live) {
        this.show({ roundTrip });
        this.measureTimer = setTimeout(() => this.measure(live), this.timing.measure);
      }
    });
  }

  private lag(newest: number | undefined): void {
    const now = Date.now();
    if (newest !== undefined && now - this.lagShownAt >= LAG_MS) {
      this.lagShownAt = now;
      this.show({ lag: now - newest });
    }
  }

  private drop(): void {
    this.tries += 1;
    clearTimeout(this.timer);
    clearTimeout(this.probeTimer);
    clearTimeout(this.measureTimer);
    this.deadline = Number.POSITIVE_INFINITY;
    this.race?.close();
    this.race = null;
    this.probe?.close();
    this.probe = null;
    this.live?.link.close();
    this.live = null;
  }

  private show(change: Partial<Status>): void {
    this.current = { ...this.current, ...change };
    this.options.onStatus?.(this.current);
  }
}

const NOBODY: Listener = { received() {}, alive() {}, ended() {} };

/** Selectors of `to` that `from` does not have; none if `from` has every series. */
function additions(from: Query, to: Query): readonly string[] {
  const have = from.select ?? [];
  if (have.length === 0) {
    return [];
  }
  return (to.select ?? []).filter((selector) => !have.includes(selector));
}
