/** The seam between the stream, which knows cursors and patience, and what carries its bytes. */

import type { Document } from './protocol.ts';
import type { Advice } from './retry.ts';

export type TransportName = 'websocket' | 'sse' | 'longpoll';

/** Why a link ended. */
export interface End {
  readonly advice: Advice;
  /** A sentence for people. */
  readonly reason: string;
  /** What the server calls the problem, where it named one: `cursor`, `selector`. */
  readonly code?: string;
  /** Milliseconds that the server asked to be left alone for. */
  readonly after?: number;
  /** True where this transport can't work here, whatever the server's health: try another. */
  readonly unusable?: boolean;
}

/** What a transport tells of its link. After `ended` it tells nothing more. */
export interface Listener {
  received(document: Document): void;
  /** The link lives although no document came; `id` is a cursor that was given besides. */
  alive(id?: string): void;
  ended(end: End): void;
}

/** One connection, or one run of polls. Closing it is silent: `ended` is not called. */
export interface Link {
  close(): void;
}

export interface Transport {
  readonly name: TransportName;
  /** Seconds of quiet beyond heartbeats that are normal: how long a poll is held. */
  readonly hold: number;
  /** Open a link. `request` gives the URL with the newest cursor, each time it is asked. */
  open(request: () => URL, listener: Listener): Link;
}
