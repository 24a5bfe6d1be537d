import type { TransportName } from '../links/transport.ts';

/**
 * connecting: a link is being opened. live: documents flow. waiting: cut, the next try is
 * planned. paused: let go while the page is out of sight. refused: the server won't have us, and
 * trying again won't help. closed: by `close`, or not begun.
 */
export type Phase = 'connecting' | 'live' | 'waiting' | 'paused' | 'refused' | 'closed';

/** How a stream is, for a page to show. Times are those of `Date.now()`. */
export interface Status {
  readonly phase: Phase;
  /** Of the link that is live, or the last one that was. */
  readonly transport: TransportName | null;
  /** Tries since documents last flowed: 0 while they do. */
  readonly attempt: number;
  /** When the next try is planned, while waiting. */
  readonly retryAt: number | null;
  /** Until when the server asked to be left alone; null where it didn't. */
  readonly notBefore: number | null;
  /** Since when the stream has been cut; null while it is live, and before it ever was. */
  readonly cutSince: number | null;
  /** Whether the browser says that this device has no network: then that is why it is cut. */
  readonly offline: boolean;
  /** Why it was cut or refused, in words. */
  readonly reason: string;
  /** What the server calls the problem, where it named one: `selector`, `token`, `subscribers`. */
  readonly code: string;
  /** Whether several servers answer at this address that don't share a journal. */
  readonly several: boolean;
  /** Since when the server can't reach its log, so that nothing newer can come; null while it can. */
  readonly awaySince: number | null;
  /** Milliseconds that a request and its answer last took; null while that isn't known. */
  readonly roundTrip: number | null;
  /**
   * Milliseconds between the time of the newest sample and when it came, by this browser's clock;
   * null before there is one. It holds the producer's delay and any difference of the clocks.
   */
  readonly lag: number | null;
}

export const IDLE: Status = {
  phase: 'closed',
  transport: null,
  attempt: 0,
  retryAt: null,
  notBefore: null,
  cutSince: null,
  offline: false,
  reason: '',
  code: '',
  several: false,
  awaySince: null,
  roundTrip: null,
  lag: null,
};
