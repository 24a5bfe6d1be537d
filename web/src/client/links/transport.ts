/** The interface between the stream, which has cursors and retries, and what carries its bytes. */

import type { Document, Watch } from '../protocol/documents.ts';
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
  /** True where it was the token that was refused, or missed: another one may be let in. */
  readonly unauthorized?: boolean;
}

/** What a transport reports of its link. `ended` is the last call. */
export interface Listener {
  received(document: Document): void;
  /** The link works although no document came; `id` is a cursor that came by itself. */
  alive(id?: string): void;
  ended(end: End): void;
}

/** What is asked for, and with which token. */
export interface Request {
  readonly url: URL;
  readonly token: string | null;
}

/** One connection, or one run of polls. Closing it is silent: `ended` is not called. */
export interface Link {
  close(): void;
  /**
   * Have a live link show something else; the server answers with a new `hello`. Resolves to why
   * it was refused, where that doesn't end the link, or to null. Absent where a link can't be
   * told: polls ask anew each time anyway.
   */
  watch?(change: Watch, session: string): Promise<End | null>;
}

export interface Transport {
  readonly name: TransportName;
  /** Seconds of quiet beyond heartbeats that are normal: how long a poll is held. */
  readonly hold: number;
  /** Open a link. `request` gives the URL with the newest cursor, each time it is asked. */
  open(request: () => Request, listener: Listener): Link;
}
