/** Transports that do as they are told, and a stream on them. */

import {
  type Document,
  type Status,
  Stream,
  type StreamOptions,
  type TransportName,
} from '../../src/client/index.ts';
import type { End, Listener, Request, Transport } from '../../src/client/links/transport.ts';
import type { Watch } from '../../src/client/protocol/documents.ts';

export const HELLO: Document = {
  type: 'hello',
  epoch: 'E',
  session: 's',
  heartbeat: 15,
  granted: { max_hz: 10, merge: 'all', select: [] },
};
export const heartbeat = (id: string): Document => ({ type: 'heartbeat', id, time: 0 });

/** A link that a test speaks for. */
export class Opened {
  closed = false;
  readonly transport: TransportName;
  /** What it was asked for when it was opened. */
  readonly url: URL;
  readonly request: () => Request;
  readonly listener: Listener;
  /** What the client said on it. */
  readonly said: Watch[] = [];

  constructor(transport: TransportName, request: () => Request, listener: Listener) {
    this.transport = transport;
    this.request = request;
    this.url = request().url;
    this.listener = listener;
  }

  get since(): string | null {
    return this.url.searchParams.get('since');
  }
}

/** Transports of these names; all links that are opened on them are added to `links`. */
export function transports(names: readonly TransportName[], links: Opened[]): Transport[] {
  return names.map((name) => ({
    name,
    hold: name === 'longpoll' ? 25 : 0,
    open: (request, listener) => {
      const link = new Opened(name, request, listener);
      links.push(link);
      const close = (): void => {
        link.closed = true;
      };
      return name === 'longpoll'
        ? { close }
        : {
            close,
            watch: async (change) => {
              link.said.push(change);
              return null;
            },
          };
    },
  }));
}

export class World {
  readonly links: Opened[] = [];
  readonly documents: Document[] = [];
  readonly statuses: Status[] = [];
  readonly stream: Stream;

  constructor(
    names: readonly TransportName[] = ['websocket', 'sse', 'longpoll'],
    random = 0.5,
    options: Partial<StreamOptions> = {},
  ) {
    this.stream = new Stream({
      url: new URL('http://test/v1/stream'),
      query: { window: '15m', select: ['up', 'node_load1{host="a"}'], merge: 'envelope', maxHz: 5 },
      transports: transports(names, this.links),
      onDocument: (document) => this.documents.push(document),
      onStatus: (status) => this.statuses.push(status),
      random: () => random,
      measure: async () => null,
      ...options,
    });
  }

  get link(): Opened {
    return this.links.at(-1)!;
  }

  /** Names of the transports that were opened, in order. */
  get opened(): TransportName[] {
    return this.links.map(({ transport }) => transport);
  }

  get phase(): string {
    return this.stream.status.phase;
  }

  /** The newest link delivers. */
  receive(...documents: Document[]): void {
    for (const document of documents) {
      this.link.listener.received(document);
    }
  }

  /** The newest link ends. */
  end(end: Partial<End> = {}): void {
    this.link.listener.ended({ advice: 'back-off', reason: 'test', ...end });
  }
}
