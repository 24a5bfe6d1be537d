/** What tabs that share a connection say to each other, over a BroadcastChannel. */

import type { Presence } from '../stream/presence.ts';
import type { Status } from '../stream/status.ts';
import type { FeedCopy } from '../subscriptions/feed.ts';
import type { Wish } from '../subscriptions/wish.ts';

/** What every tab knows of each stream of the leader, so that any can go on with it. */
export interface Note {
  readonly id: string;
  readonly wish: Wish;
  readonly alone: boolean;
  readonly cursor: string | null;
  /** Selectors whose history had not come when this was said. */
  readonly missing: readonly string[];
  readonly status: Status;
}

/** One subscription of a tab. `trunk`: it has all that this one has brought, and goes on there. */
export interface Want {
  readonly key: number;
  readonly wish: Wish;
  readonly trunk: string | null;
}

/**
 * who: a newcomer asks who leads. lead: I do, with these streams. want: all that a tab wants.
 * placed: what was wanted comes with this stream, and so much of it is held already. refused: the
 * server won't have it. note: a stream is new or asks for something else. ended: it is closed.
 * document: it brought this. again: what these selectors bring next may have come. status: it is so. retry: have all try now. bye: a tab leaves. ping and
 * pong: whether the leader lives.
 */
export type Message = { readonly from: string; readonly to?: string } & (
  | { readonly type: 'who' | 'bye' | 'ping' | 'pong' | 'retry' }
  | { readonly type: 'lead'; readonly notes: readonly Note[] }
  | { readonly type: 'want'; readonly wants: readonly Want[]; readonly presence: Presence }
  | {
      readonly type: 'placed';
      readonly key: number;
      readonly note: Note;
      readonly copy: FeedCopy;
      /** Selectors of which it has come. Left out by a tab that was loaded before an upgrade. */
      readonly had?: readonly string[];
    }
  | {
      readonly type: 'refused';
      readonly key: number;
      readonly reason: string;
      readonly code: string;
    }
  | { readonly type: 'note'; readonly note: Note }
  | { readonly type: 'ended'; readonly trunk: string }
  | { readonly type: 'document'; readonly trunk: string; readonly text: string }
  | { readonly type: 'again'; readonly trunk: string; readonly selectors: readonly string[] }
  | { readonly type: 'status'; readonly trunk: string; readonly status: Status }
);

type Unsigned<M> = M extends unknown ? Omit<M, 'from'> : never;
/** A message before it says whose it is. */
export type Said = Unsigned<Message>;

/** How a tab speaks: as itself. */
export type Say = (said: Said) => void;
