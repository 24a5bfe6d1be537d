/** The stream on transports that do as they are told, in a time that is made up. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Document, type Status, Stream } from '../src/client/index.ts';
import type { End, Listener, Transport, TransportName } from '../src/client/transport.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const HELLO: Document = {
  type: 'hello',
  epoch: 'E',
  session: 's',
  heartbeat: 15,
  granted: { max_hz: 10, merge: 'all', select: [] },
};
const heartbeat = (id: string): Document => ({ type: 'heartbeat', id, time: 0 });

class Opened {
  closed = false;
  readonly transport: TransportName;
  readonly url: URL;
  readonly listener: Listener;

  constructor(transport: TransportName, url: URL, listener: Listener) {
    this.transport = transport;
    this.url = url;
    this.listener = listener;
  }

  get since(): string | null {
    return this.url.searchParams.get('since');
  }
}

class World {
  readonly links: Opened[] = [];
  readonly documents: Document[] = [];
  readonly statuses: Status[] = [];
  readonly stream: Stream;

  constructor(names: readonly TransportName[] = ['websocket', 'sse', 'longpoll'], random = 0.5) {
    const transports = names.map(
      (name): Transport => ({
        name,
        hold: name === 'longpoll' ? 25 : 0,
        open: (request, listener) => {
          const link = new Opened(name, request(), listener);
          this.links.push(link);
          return {
            close: () => {
              link.closed = true;
            },
          };
        },
      }),
    );
    this.stream = new Stream({
      url: new URL('http://test/v1/stream'),
      query: { window: '15m', select: ['up', 'node_load1{host="a"}'], merge: 'envelope', maxHz: 5 },
      transports,
      onDocument: (document) => this.documents.push(document),
      onStatus: (status) => this.statuses.push(status),
      random: () => random,
    });
  }

  get link(): Opened {
    return this.links.at(-1)!;
  }

  get phase(): string {
    return this.stream.status.phase;
  }

  receive(...documents: Document[]): void {
    for (const document of documents) {
      this.link.listener.received(document);
    }
  }

  end(end: Partial<End> = {}): void {
    this.link.listener.ended({ advice: 'back-off', reason: 'test', ...end });
  }
}

test('asks for what the query says, and from the cursor on when it has one', () => {
  const world = new World();
  world.stream.start();
  expect(world.link.url.search).toBe(
    '?select=up&select=node_load1%7Bhost%3D%22a%22%7D&window=15m&max_hz=5&merge=envelope',
  );
  world.receive(HELLO, { type: 'points', id: 'E.7', points: [] });
  world.end();
  vi.advanceTimersByTime(1000);
  expect(world.link.since).toBe('E.7');
});

test('every document with an id moves the cursor, whatever its type', () => {
  const world = new World();
  world.stream.start();
  world.receive(HELLO);
  expect(world.stream.cursor).toBe(null);
  for (const document of [
    { type: 'points', id: 'E.1', points: [] },
    { type: 'gap', id: 'E.2', lost: 3 },
    { type: 'gone', id: 'E.3', refs: [1] },
    heartbeat('E.4'),
  ] as Document[]) {
    world.receive(document);
    expect(world.stream.cursor).toBe((document as { id: string }).id);
  }
  world.receive({ type: 'points', points: [] });
  expect(world.stream.cursor).toBe('E.4');
});

test('is live from the first document on, not from an open connection', () => {
  const world = new World();
  world.stream.start();
  expect(world.phase).toBe('connecting');
  world.receive(HELLO);
  expect(world.stream.status).toMatchObject({ phase: 'live', transport: 'websocket', attempt: 0 });
});

describe('transports', () => {
  test('goes on to the next where one is not usable, and passes it over for a minute', () => {
    const world = new World();
    world.stream.start();
    world.end({ unusable: true });
    expect(world.link.transport).toBe('sse');
    world.receive(HELLO, heartbeat('E.1'));
    expect(world.stream.status.transport).toBe('sse');
    vi.advanceTimersByTime(10_000);
    world.end();
    vi.advanceTimersByTime(1000);
    expect(world.link.transport).toBe('sse');
    expect(world.link.since).toBe('E.1');
    world.receive(HELLO);
    for (let n = 0; n < 6; n += 1) {
      vi.advanceTimersByTime(10_000);
      world.receive(heartbeat('E.1'));
    }
    world.end();
    vi.advanceTimersByTime(1000);
    expect(world.link.transport).toBe('websocket');
  });

  test('goes on where one opens but never delivers', () => {
    const world = new World();
    world.stream.start();
    vi.advanceTimersByTime(5000);
    expect(world.links[0]!.closed).toBe(true);
    expect(world.link.transport).toBe('sse');
    vi.advanceTimersByTime(5000);
    expect(world.link.transport).toBe('longpoll');
    world.link.listener.alive('E.3');
    expect(world.stream.status).toMatchObject({ phase: 'live', transport: 'longpoll' });
    expect(world.stream.cursor).toBe('E.3');
  });

  test('blames none of them when the server is away', () => {
    const world = new World();
    world.stream.start();
    world.end({ unusable: true });
    world.end({ reason: 'the server can’t be reached' });
    expect(world.phase).toBe('waiting');
    vi.advanceTimersByTime(20_000);
    expect(world.links[2]!.transport).toBe('websocket');
  });
});

describe('coming back', () => {
  test('waits with full jitter between half a second and a bound that doubles up to 20 s', () => {
    for (const [random, delays] of [
      [0, [500, 500, 500, 500, 500, 500, 500]],
      [1, [1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]],
    ] as const) {
      const world = new World(['sse'], random);
      world.stream.start();
      for (const delay of delays) {
        world.end();
        expect(world.stream.status.retryAt).toBe(Date.now() + delay);
        const before = world.links.length;
        vi.advanceTimersByTime(delay - 1);
        expect(world.links.length).toBe(before);
        vi.advanceTimersByTime(1);
        expect(world.links.length).toBe(before + 1);
      }
      expect(world.stream.status.attempt).toBe(8);
    }
  });

  test('counts anew after a link that lived, and on after one that did not', () => {
    const world = new World(['sse'], 1);
    world.stream.start();
    for (const [lived, delay] of [
      [100, 1000],
      [100, 2000],
      [6000, 1000],
    ] as const) {
      world.receive(HELLO);
      vi.advanceTimersByTime(lived);
      world.end();
      expect(world.stream.status.retryAt).toBe(Date.now() + delay);
      vi.advanceTimersByTime(delay);
    }
  });

  test('comes back at once when the server says so, but not again and again', () => {
    const world = new World(['websocket'], 1);
    world.stream.start();
    world.receive(HELLO);
    world.end({ advice: 'at-once' });
    vi.advanceTimersByTime(0);
    expect(world.links.length).toBe(2);
    world.receive(HELLO);
    world.end({ advice: 'at-once' });
    vi.advanceTimersByTime(1999);
    expect(world.links.length).toBe(2);
  });

  test('obeys a goaway and a Retry-After to the millisecond', () => {
    const world = new World(['websocket']);
    world.stream.start();
    world.receive(HELLO, { type: 'goaway', retry: 2300 });
    expect(world.links[0]!.closed).toBe(true);
    vi.advanceTimersByTime(2299);
    expect(world.links.length).toBe(1);
    vi.advanceTimersByTime(1);
    expect(world.links.length).toBe(2);
    world.end({ after: 7000 });
    vi.advanceTimersByTime(6999);
    expect(world.links.length).toBe(2);
    vi.advanceTimersByTime(1);
    expect(world.links.length).toBe(3);
  });

  test('a try by hand does not wait', () => {
    const world = new World(['sse'], 1);
    world.stream.start();
    world.end();
    world.stream.retryNow();
    expect(world.links.length).toBe(2);
    world.stream.retryNow();
    expect(world.links.length).toBe(2);
  });

  test('tells since when it has been cut, until it is live again', () => {
    const world = new World(['sse']);
    world.stream.start();
    expect(world.stream.status.cutSince).toBe(null);
    world.receive(HELLO);
    vi.advanceTimersByTime(9000);
    const cut = Date.now();
    world.end();
    vi.advanceTimersByTime(1000);
    world.end();
    expect(world.stream.status).toMatchObject({ cutSince: cut, reason: 'test' });
    vi.advanceTimersByTime(20_000);
    world.receive(HELLO);
    expect(world.stream.status).toMatchObject({ cutSince: null, reason: '' });
  });
});

test('two heartbeats that are missing are silence: it connects again at once', () => {
  const world = new World(['websocket']);
  world.stream.start();
  world.receive({ ...HELLO, heartbeat: 2 } as Document);
  vi.advanceTimersByTime(4900);
  world.receive(heartbeat('E.1'));
  vi.advanceTimersByTime(4900);
  expect(world.links.length).toBe(1);
  vi.advanceTimersByTime(200);
  expect(world.links[0]!.closed).toBe(true);
  expect(world.links.length).toBe(2);
  expect(world.link.since).toBe('E.1');
});

test('a poll that is held is not silence', () => {
  const world = new World(['longpoll']);
  world.stream.start();
  world.link.listener.alive('E.1');
  vi.advanceTimersByTime(60_000);
  expect(world.links.length).toBe(1);
});

test('stops where it is refused, and says why', () => {
  const world = new World();
  world.stream.start();
  world.receive({ type: 'error', code: 'selector', message: 'no such label' });
  world.end({ advice: 'never', reason: 'no such label', code: 'selector' });
  vi.advanceTimersByTime(60_000);
  expect(world.links.length).toBe(1);
  expect(world.stream.status).toMatchObject({ phase: 'refused', reason: 'no such label' });
});

test('drops a cursor that the server does not know, and tells of a gap', () => {
  const world = new World(['websocket']);
  world.stream.start();
  world.receive(HELLO, heartbeat('E.900'));
  world.end();
  vi.advanceTimersByTime(1000);
  world.end({ advice: 'never', code: 'cursor', reason: 'ahead of this hub' });
  expect(world.documents.at(-1)).toEqual({ type: 'gap', id: 'E.900', lost: null });
  vi.advanceTimersByTime(2000);
  expect(world.links.length).toBe(3);
  expect(world.link.since).toBe(null);
});

test('nothing happens after close, and start begins again with the cursor', () => {
  const world = new World(['sse']);
  world.stream.start();
  world.receive(HELLO, heartbeat('E.5'));
  world.stream.close();
  expect(world.link.closed).toBe(true);
  vi.advanceTimersByTime(600_000);
  expect(world.links.length).toBe(1);
  world.stream.start();
  expect(world.link.since).toBe('E.5');
});
