/** The documents of wire protocol v1, as a server sends them. */

export type Kind = 'gauge' | 'counter' | 'delta' | 'state';
export type Merge = 'all' | 'last' | 'envelope';
export type Value = number | string | boolean | null;
export type Labels = Readonly<Record<string, string>>;
/** Why expressions have no results, by the name that the results would have. */
export type Reasons = Readonly<Record<string, string>>;

/** What a series is. `ref` stands for it in the points of one epoch. */
export interface Description {
  readonly ref: number;
  readonly name: string;
  readonly labels: Labels;
  readonly kind: Kind;
  readonly unit: string;
  readonly help?: string;
  /** Whether it is a result of an expression. */
  readonly expression?: boolean | undefined;
}

/** `[ref, time_ms, value]`, or merged: `[ref, time_ms, last, min, max, count]`. */
export type Point =
  | readonly [ref: number, time: number, value: Value]
  | readonly [
      ref: number,
      time: number,
      last: Value,
      min: number | null,
      max: number | null,
      count: number,
    ];

export interface Hello {
  readonly type: 'hello';
  /** The cursor from here on; given when a `watch` changes what is still to come. */
  readonly id?: string;
  readonly epoch: string;
  readonly session: string;
  /** Seconds of quiet after which the server sends a heartbeat. */
  readonly heartbeat: number;
  readonly granted: {
    readonly max_hz: number;
    readonly merge: Merge;
    readonly select: readonly string[];
    /** The name of each expression's results, by how it was asked for. */
    readonly expressions?: Readonly<Record<string, string>>;
    /** How many points of each series its window has, if the query asked for some. */
    readonly points?: number;
    /** Seconds of the past that the server keeps: a longer window brings no more. */
    readonly kept?: number;
  };
  /** Seconds for which the server has not reached its log. Nothing newer comes until it does. */
  readonly away?: number;
  /** Why expressions have no results now, by name, if there are such. */
  readonly failing?: Reasons;
}

export interface Points {
  readonly type: 'points';
  readonly id?: string;
  readonly series?: readonly Description[];
  /** When the server made it, in Unix milliseconds by its clock; left out of what is replayed. */
  readonly time?: number;
  readonly points: readonly Point[];
  /** Refs and times at which series ended: each has no value from then on until its next point. */
  readonly ended?: readonly (readonly [ref: number, time: number])[];
}

/** How many samples can't be given any more; null if it isn't known. */
export interface Gap {
  readonly type: 'gap';
  readonly id: string;
  readonly lost: number | null;
}

export interface Gone {
  readonly type: 'gone';
  readonly id: string;
  readonly refs: readonly number[];
}

/** Other expressions have no results now than before: these, and no others. */
export interface Failing {
  readonly type: 'failing';
  readonly id: string;
  readonly failing: Reasons;
}

export interface Heartbeat {
  readonly type: 'heartbeat';
  readonly id: string;
  readonly time: number;
  readonly away?: number;
}

/** The server shuts down: the client comes back with its cursor in `retry` milliseconds. */
export interface GoAway {
  readonly type: 'goaway';
  readonly retry: number;
}

export interface ErrorDocument {
  readonly type: 'error';
  readonly code: string;
  readonly message: string;
}

export type Document = (
  | Hello
  | Points
  | Gap
  | Gone
  | Failing
  | Heartbeat
  | GoAway
  | ErrorDocument
) & {
  /** As granted by `hello`, with all that comes of a poll, which has none. */
  readonly expressions?: Readonly<Record<string, string>> | undefined;
};

/** What a stream asks for. The server chooses what is left out. */
export interface Query {
  /** Selectors; none means every series. */
  readonly select?: readonly string[];
  /** History wanted at the start, such as `15m`. */
  readonly window?: string;
  /** About how many points of each series are enough for the window. */
  readonly points?: number;
  readonly maxHz?: number;
  readonly merge?: Merge;
  /** From one result of an expression to the next, such as `5s`. */
  readonly step?: string;
}

/** Change what a live stream shows; what is left out stays as it is. */
export interface Watch {
  readonly type: 'watch';
  readonly select?: readonly string[];
  /** History wanted of series that were not watched before. */
  readonly window?: string;
  readonly points?: number;
  readonly max_hz?: number;
  readonly step?: string;
}

export const SUBPROTOCOL = 'pushsvc.v1';

/**
 * The subprotocols a WebSocket offers. A page can't set headers on one, so that its token travels
 * as an entry of its own, which the server reads and never chooses.
 */
export function subprotocols(token: string | null): string[] {
  if (token === null) {
    return [SUBPROTOCOL];
  }
  const bytes = String.fromCharCode(...new TextEncoder().encode(token));
  const encoded = btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return [SUBPROTOCOL, `pushsvc.token.${encoded}`];
}

/** The headers of a request over HTTP. */
export function headers(token: string | null, more: Readonly<Record<string, string>>): Headers {
  const all = new Headers(more);
  if (token !== null) {
    all.set('Authorization', `Bearer ${token}`);
  }
  return all;
}

/** The stream's URL for a query, from `since` on if there is a cursor. */
export function streamUrl(base: URL, query: Query, since: string | null): URL {
  const url = new URL(base);
  for (const selector of query.select ?? []) {
    url.searchParams.append('select', selector);
  }
  const { window, points, maxHz, merge, step } = query;
  const asked = { window, points, max_hz: maxHz, merge, step, since: since ?? undefined };
  for (const [name, value] of Object.entries(asked)) {
    if (value !== undefined) {
      url.searchParams.set(name, String(value));
    }
  }
  return url;
}

/**
 * The earlier one of two cursors. Those of different epochs can't be compared: then the first one.
 */
export function older(one: string, other: string): string {
  const [epoch, seq] = split(one);
  const [otherEpoch, otherSeq] = split(other);
  return epoch === otherEpoch && otherSeq < seq ? other : one;
}

/** The epoch that a cursor is of. */
export function epochOf(cursor: string): string {
  return split(cursor)[0];
}

/**
 * The epoch of a cursor, and a number that grows along the stream. A cursor with a debt, samples
 * that are still owed (after `~`), is before one without.
 */
function split(cursor: string): [epoch: string, place: number] {
  const at = cursor.lastIndexOf('.');
  const [name = '', debt] = cursor.slice(0, at).split('~');
  const [epoch = ''] = name.split('!');
  return [epoch, Number(cursor.slice(at + 1)) - (debt === undefined ? 0 : 0.5)];
}

/** Parse a document. Throws a SyntaxError for text that is none. */
export function parseDocument(text: string): Document {
  const document: unknown = JSON.parse(text);
  if (typeof document !== 'object' || document === null || !('type' in document)) {
    throw new SyntaxError('not a document of the stream');
  }
  return document as Document;
}
