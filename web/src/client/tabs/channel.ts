/** What tabs that share a connection send to each other, over a BroadcastChannel. */

import type { Presence } from '../stream/presence.ts';
import type { Status } from '../stream/status.ts';
import type { TableCopy } from '../subscriptions/series-table.ts';
import type { SubscriptionSpec } from '../subscriptions/spec.ts';

/** What every tab knows of each stream of the leader, so that any tab can continue it. */
export interface StreamNote {
  readonly id: string;
  readonly spec: SubscriptionSpec;
  readonly alone: boolean;
  readonly cursor: string | null;
  /** Selectors whose history had not come when this was sent. */
  readonly missing: readonly string[];
  readonly status: Status;
}

/**
 * One subscription of a tab. `stream` is the one to continue with, whose documents it all has; or
 * null.
 */
export interface Want {
  readonly key: number;
  readonly spec: SubscriptionSpec;
  readonly stream: string | null;
}

/**
 * From any tab:
 * - who: which tab leads? A new tab asks.
 * - want: all subscriptions of this tab.
 * - retry: have all streams try to connect now.
 * - ping: does the leader still answer?
 * - bye: this tab leaves.
 *
 * From the leader:
 * - lead: I lead, with these streams.
 * - placed: this stream serves a subscription, and this much of it is held already.
 * - refused: the server refuses a subscription.
 * - note: a stream is new, or its query has changed.
 * - ended: a stream is closed.
 * - document: a stream brought this.
 * - again: what comes next for these selectors may repeat what has come.
 * - status: a stream has this status.
 * - pong: the answer to a ping.
 */
export type Message = { readonly from: string; readonly to?: string } & (
  | { readonly type: 'who' | 'bye' | 'ping' | 'pong' | 'retry' }
  | { readonly type: 'lead'; readonly notes: readonly StreamNote[] }
  | { readonly type: 'want'; readonly wants: readonly Want[]; readonly presence: Presence }
  | {
      readonly type: 'placed';
      readonly key: number;
      readonly note: StreamNote;
      readonly copy: TableCopy;
      /** Selectors whose past has come. */
      readonly had: readonly string[];
    }
  | {
      readonly type: 'refused';
      readonly key: number;
      readonly reason: string;
      readonly code: string;
    }
  | { readonly type: 'note'; readonly note: StreamNote }
  | { readonly type: 'ended'; readonly stream: string }
  | { readonly type: 'document'; readonly stream: string; readonly text: string }
  | { readonly type: 'again'; readonly stream: string; readonly selectors: readonly string[] }
  | { readonly type: 'status'; readonly stream: string; readonly status: Status }
);

type Unsigned<M> = M extends unknown ? Omit<M, 'from'> : never;
/** A message without its sender. */
export type Outgoing = Unsigned<Message>;

/** Sends a message of this tab. */
export type Send = (message: Outgoing) => void;
