/** A stream that stays: one cursor carried over transports, drops and restarts of the server. */

import { longpoll } from './longpoll.ts';
import { type Document, type Query, streamUrl } from './protocol.ts';
import { backOff } from './retry.ts';
import { sse } from './sse.ts';
import type { End, Link, Transport, TransportName } from './transport.ts';
import { websocket } from './websocket.ts';

/**
 * connecting: a link is being opened. live: documents flow. waiting: cut, the next try is
 * planned. refused: the server won't have us, and trying again won't help. closed: by `close`.
 */
export type Phase = 'connecting' | 'live' | 'waiting' | 'refused' | 'closed';

/** How the stream is, for a page to show. Times are those of `Date.now()`. */
export interface Status {
  readonly phase: Phase;
  /** Of the link that is live, or the last one that was. */
  readonly transport: TransportName | null;
  /** Tries since documents last flowed: 0 while they do. */
  readonly attempt: number;
  /** When the next try is planned, while waiting. */
  readonly retryAt: number | null;
  /** Since when the stream has been cut; null while it is live, and before it ever was. */
  readonly cutSince: number | null;
  /** Why it was cut or refused, in words. */
  readonly reason: string;
}

export interface StreamOptions {
  readonly url: URL;
  readonly query?: Query;
  /** In order of preference. */
  readonly transports?: readonly Transport[];
  readonly onDocument: (document: Document) => void;
  readonly onStatus?: (status: Status) => void;
  readonly random?: () => number;
}

const OPENING_SECONDS = 5;
/** A heartbeat that is this many times overdue will not come. */
const PATIENCE = 2.5;
const DEFAULT_HEARTBEAT = 15;
/** A link that lived so long was no failure: the next attempt counts from the beginning. */
const SETTLED_MS = 5_000;
/** How long a transport that did not work is passed over. */
const DEMOTED_MS = 60_000;

/** Opens links one after the other. Nothing happens before `start`; `close` ends it for good. */
export class Stream {
  /** The newest cursor, or null before the first. */
  cursor: string | null = null;

  private readonly options: StreamOptions;
  private readonly transports: readonly Transport[];
  private readonly random: () => number;
  private readonly demotedUntil = new Map<TransportName, number>();
  private current: Status = {
    phase: 'closed',
    transport: null,
    attempt: 0,
    retryAt: null,
    cutSince: null,
    reason: '',
  };
  private link: Link | null = null;
  private failures = 0;
  private liveSince = 0;
  private heartbeat = DEFAULT_HEARTBEAT;
  private deadline = Number.POSITIVE_INFINITY;
  private onDeadline: () => void = () => {};
  private notBefore = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private untested: Transport[] = [];

  constructor(options: StreamOptions) {
    this.options = options;
    this.transports = options.transports ?? [websocket, sse, longpoll];
    this.random = options.random ?? Math.random;
  }

  get status(): Status {
    return this.current;
  }

  /** Begin, or begin again after `close`. */
  start(): void {
    if (this.current.phase === 'closed') {
      listen(this.wake, 'add');
      this.connect();
    }
  }

  /** Let go of the link and try no more. The cursor stays. */
  close(): void {
    listen(this.wake, 'remove');
    this.drop();
    this.show({ phase: 'closed', retryAt: null });
  }

  /** Try now rather than when it was planned; does nothing while there is a link. */
  retryNow(): void {
    if (this.current.phase === 'waiting' || this.current.phase === 'refused') {
      this.connect();
    }
  }

  /** The page is back, or the network: whatever timers were for, look at it now. */
  private readonly wake = (): void => {
    if (typeof document !== 'undefined' && document.visibilityState === 'hidden') {
      return;
    }
    const now = Date.now();
    if (this.current.phase === 'waiting' && now >= this.notBefore) {
      this.failures = 0;
      this.connect();
    } else if (now > this.deadline) {
      this.onDeadline();
    }
  };

  private connect(): void {
    const now = Date.now();
    const usable = this.transports.filter(({ name }) => (this.demotedUntil.get(name) ?? 0) <= now);
    this.untested = usable.length > 0 ? usable : [...this.transports];
    this.show({ phase: 'connecting', attempt: this.failures + 1, retryAt: null });
    this.open();
  }

  private open(): void {
    this.drop();
    const transport = this.untested.shift()!;
    let opened = false;
    const arrived = (): void => {
      if (!opened) {
        opened = true;
        this.opened(transport);
      }
      this.expect(this.heartbeat * PATIENCE + transport.hold, transport);
    };
    this.expect(OPENING_SECONDS + Math.min(transport.hold, OPENING_SECONDS), transport);
    this.link = transport.open(
      () => streamUrl(this.options.url, this.options.query ?? {}, this.cursor),
      {
        received: (document) => {
          // An error only says why the link is about to end: that is no sign of life.
          if (document.type !== 'error') {
            arrived();
          }
          this.take(document);
        },
        alive: (id) => {
          arrived();
          this.cursor = id ?? this.cursor;
        },
        ended: (end) => this.ended(transport, end, opened),
      },
    );
  }

  private opened(transport: Transport): void {
    this.liveSince = Date.now();
    this.demotedUntil.delete(transport.name);
    this.show({
      phase: 'live',
      transport: transport.name,
      attempt: 0,
      retryAt: null,
      cutSince: null,
      reason: '',
    });
  }

  private take(document: Document): void {
    if (document.type === 'hello') {
      this.heartbeat = document.heartbeat;
    }
    this.options.onDocument(document);
    if ('id' in document && document.id !== undefined) {
      this.cursor = document.id;
    }
    if (document.type === 'goaway') {
      this.settle();
      this.notBefore = Date.now() + document.retry;
      this.wait(document.retry, 'the server is going away');
    }
  }

  private ended(transport: Transport, end: End, opened: boolean): void {
    this.link = null;
    if (!opened && end.unusable === true) {
      this.demote(transport);
      if (this.untested.length > 0) {
        this.open();
        return;
      }
    } else if (!opened) {
      // The server itself answered so, or nothing did: those that failed before it are not to
      // blame.
      this.demotedUntil.clear();
    }
    const lost = end.code === 'cursor' && this.cursor !== null;
    if (lost) {
      // A cursor that the server can't have given is of no use: begin anew, and say so.
      this.options.onDocument({ type: 'gap', id: this.cursor!, lost: null });
      this.cursor = null;
    } else if (end.advice === 'never') {
      this.drop();
      this.show({ phase: 'refused', retryAt: null, cutSince: this.cut(), reason: end.reason });
      return;
    }
    this.settle();
    const atOnce = end.advice === 'at-once' && this.failures === 0;
    const delay = atOnce ? 0 : backOff(this.failures, this.random);
    this.failures += 1;
    this.notBefore = Date.now() + (end.after ?? 0);
    this.wait(Math.max(end.after ?? 0, delay), end.reason);
  }

  /** Nothing came for too long. */
  private overdue(transport: Transport): void {
    const wasLive = this.current.phase === 'live';
    this.drop();
    if (!wasLive) {
      this.demote(transport);
      if (this.untested.length > 0) {
        this.open();
        return;
      }
    }
    this.settle();
    const delay = wasLive ? 0 : backOff(this.failures, this.random);
    this.failures += 1;
    this.wait(delay, wasLive ? 'the connection went silent' : 'the server does not answer');
  }

  private demote(transport: Transport): void {
    if (this.untested.length > 0) {
      this.demotedUntil.set(transport.name, Date.now() + DEMOTED_MS);
    } else {
      // None works: that says more about the server than about any of them.
      this.demotedUntil.clear();
    }
  }

  private settle(): void {
    if (this.current.phase === 'live' && Date.now() - this.liveSince >= SETTLED_MS) {
      this.failures = 0;
    }
  }

  private wait(delay: number, reason: string): void {
    this.drop();
    this.show({ phase: 'waiting', retryAt: Date.now() + delay, cutSince: this.cut(), reason });
    this.timer = setTimeout(() => this.connect(), delay);
  }

  private cut(): number | null {
    return this.current.phase === 'live' ? Date.now() : this.current.cutSince;
  }

  private expect(seconds: number, transport: Transport): void {
    clearTimeout(this.timer);
    this.deadline = Date.now() + seconds * 1000;
    this.onDeadline = () => this.overdue(transport);
    this.timer = setTimeout(this.onDeadline, seconds * 1000);
  }

  private drop(): void {
    clearTimeout(this.timer);
    this.deadline = Number.POSITIVE_INFINITY;
    this.link?.close();
    this.link = null;
  }

  private show(change: Partial<Status>): void {
    this.current = { ...this.current, ...change };
    this.options.onStatus?.(this.current);
  }
}

function listen(wake: () => void, how: 'add' | 'remove'): void {
  if (typeof window === 'undefined') {
    return;
  }
  const method = how === 'add' ? 'addEventListener' : 'removeEventListener';
  window[method]('online', wake);
  window[method]('pageshow', wake);
  document[method]('visibilitychange', wake);
}
