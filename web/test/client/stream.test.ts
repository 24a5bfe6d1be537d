/** The stream on transports that do as they are told, in a time that is made up. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Document, StreamOptions } from '../../src/client/index.ts';
import type { Transport } from '../../src/client/links/transport.ts';
import { HELLO, heartbeat, type Opened, transports, World } from './world.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Time goes by, with a heartbeat each second. */
function beat(world: World, link: World['link'], duration: number): void {
  for (let passed = 0; passed < duration; passed += 1000) {
    vi.advanceTimersByTime(1000);
    link.listener.received(heartbeat('E.1'));
  }
  expect(world.phase).toBe('live');
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

test('says since when the server can’t reach its log, until a heartbeat doesn’t', () => {
  const world = new World();
  world.stream.start();
  world.receive(HELLO, heartbeat('E.1'));
  expect(world.stream.status.awaySince).toBe(null);
  const since = Date.now() - 2000;
  world.receive({ ...heartbeat('E.1'), away: 2 } as Document);
  expect(world.stream.status).toMatchObject({ phase: 'live', awaySince: since });
  vi.advanceTimersByTime(1000);
  world.receive({ ...heartbeat('E.1'), away: 4 } as Document);
  expect(world.stream.status.awaySince).toBe(since);
  world.receive({ type: 'points', id: 'E.2', points: [] });
  expect(world.stream.status.awaySince).toBe(since);
  world.receive(heartbeat('E.2'));
  expect(world.stream.status.awaySince).toBe(null);
  world.receive({ ...HELLO, away: 0 } as Document);
  expect(world.stream.status.awaySince).not.toBe(null);
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
    // Without tries of a better one in between.
    const world = new World(undefined, 0.5, { timing: { upgrade: 1e6 } });
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
    // The one that worked goes first.
    vi.advanceTimersByTime(3000);
    expect(world.opened.filter((name) => name === 'websocket')).toHaveLength(2);
  });

  test('gives each a head start over the next, and keeps the first that delivers', () => {
    const world = new World();
    world.stream.start();
    expect(world.opened).toEqual(['websocket']);
    vi.advanceTimersByTime(999);
    expect(world.opened).toEqual(['websocket']);
    vi.advanceTimersByTime(1);
    expect(world.opened).toEqual(['websocket', 'sse']);
    vi.advanceTimersByTime(1000);
    expect(world.opened).toEqual(['websocket', 'sse', 'longpoll']);
    const [websocket, sse, longpoll] = world.links;
    websocket!.listener.received(HELLO);
    expect([websocket!.closed, sse!.closed, longpoll!.closed]).toEqual([false, true, true]);
    // What the losers still have on the way is dropped.
    sse!.listener.received(heartbeat('E.9'));
    longpoll!.listener.alive('E.9');
    longpoll!.listener.ended({ advice: 'never', reason: 'too late' });
    expect(world.documents).toEqual([HELLO]);
    expect(world.stream.cursor).toBe(null);
    expect(world.stream.status).toMatchObject({ phase: 'live', transport: 'websocket' });
  });

  test('goes on with another where one opens but never delivers', () => {
    const world = new World();
    world.stream.start();
    vi.advanceTimersByTime(2000);
    world.links[2]!.listener.alive('E.3');
    expect(world.links[0]!.closed).toBe(true);
    expect(world.stream.status).toMatchObject({ phase: 'live', transport: 'longpoll' });
    expect(world.stream.cursor).toBe('E.3');
  });

  test('gives up where all of them open and none delivers, and starts over', () => {
    const world = new World();
    world.stream.start();
    vi.advanceTimersByTime(11_999);
    expect(world.phase).toBe('connecting');
    vi.advanceTimersByTime(1);
    expect(world.stream.status).toMatchObject({
      phase: 'waiting',
      reason: 'the server does not answer',
    });
    expect(world.links.every(({ closed }) => closed)).toBe(true);
    vi.advanceTimersByTime(750);
    expect(world.link.transport).toBe('websocket');
  });

  test('does not ask the others what the server itself has answered', () => {
    const world = new World();
    world.stream.start();
    world.end({ after: 3000 });
    vi.advanceTimersByTime(2999);
    expect(world.opened).toEqual(['websocket']);
    vi.advanceTimersByTime(1);
    expect(world.opened).toEqual(['websocket', 'websocket']);
  });

  test('the one that delivered goes first the next time, and on the next page', () => {
    const storage = new Map<string, string>();
    vi.stubGlobal('localStorage', {
      getItem: (key: string) => storage.get(key) ?? null,
      setItem: (key: string, value: string) => storage.set(key, value),
    });
    const first = new World();
    first.stream.start();
    vi.advanceTimersByTime(1000);
    first.links[1]!.listener.received(HELLO);
    first.stream.close();
    const second = new World();
    second.stream.start();
    expect(second.opened).toEqual(['sse']);
    vi.advanceTimersByTime(1000);
    expect(second.opened).toEqual(['sse', 'websocket']);
    second.stream.close();
    // An hour later the network may be another one.
    vi.advanceTimersByTime(3_600_000);
    const third = new World();
    third.stream.start();
    expect(third.opened).toEqual(['websocket']);
    third.stream.close();
    storage.set('pushsvc.transports', 'not JSON');
    const fourth = new World();
    fourth.stream.start();
    fourth.receive(HELLO);
    expect(fourth.phase).toBe('live');
  });

  test('what works on one network is not what works on another', () => {
    const connection = Object.assign(new EventTarget(), { type: 'wifi', effectiveType: '4g' });
    vi.stubGlobal('navigator', { connection });
    const world = new World();
    world.stream.start();
    world.end({ unusable: true });
    world.receive(HELLO, heartbeat('E.1'));
    world.stream.close();
    world.stream.start();
    expect(world.link.transport).toBe('sse');
    world.receive(HELLO);
    connection.type = 'cellular';
    connection.dispatchEvent(new Event('change'));
    // It looks at once whether a better one works here.
    vi.advanceTimersByTime(0);
    expect(world.link.transport).toBe('websocket');
    world.stream.close();
    world.stream.start();
    expect(world.link.transport).toBe('websocket');
  });

  test('goes back to a better one without loss, when that works again', () => {
    const world = new World();
    world.stream.start();
    world.end({ unusable: true });
    const sse = world.link;
    world.receive(HELLO, heartbeat('E.1'));
    const shown = world.statuses.length;
    beat(world, sse, 10_000);
    expect(world.opened).toEqual(['websocket', 'sse', 'websocket']);
    const probe = world.link;
    expect(probe.since).toBe('E.1');
    sse.listener.received(heartbeat('E.2'));
    expect(sse.closed).toBe(false);
    probe.listener.received(HELLO);
    // Asked once more, from where the other one had come to.
    expect([probe.closed, sse.closed]).toEqual([true, true]);
    expect(world.link.transport).toBe('websocket');
    expect(world.link.since).toBe('E.2');
    world.receive(HELLO);
    expect(world.stream.status.transport).toBe('websocket');
    expect(new Set(world.statuses.slice(shown).map(({ phase }) => phase))).toEqual(
      new Set(['live']),
    );
    expect(world.documents.filter((document) => 'id' in document)).toHaveLength(12);
  });

  test('tries a better one less and less often while it does not work', () => {
    const world = new World();
    world.stream.start();
    world.end({ unusable: true });
    const sse = world.link;
    world.receive(HELLO, heartbeat('E.1'));
    const tries: number[] = [];
    for (let second = 1; second <= 1000; second += 1) {
      const before = world.links.length;
      beat(world, sse, 1000);
      if (world.links.length > before) {
        tries.push(second);
        world.end({ unusable: true });
      }
    }
    expect(tries).toEqual([10, 30, 70, 150, 310, 610, 910]);
    expect(sse.closed).toBe(false);
  });

  test('a better one that worked when it was tried and fails afterwards costs nothing', () => {
    const world = new World();
    world.stream.start();
    world.end({ unusable: true });
    const sse = world.link;
    world.receive(HELLO, heartbeat('E.1'));
    beat(world, sse, 10_000);
    world.receive(HELLO);
    expect(world.link.transport).toBe('websocket');
    world.end({ unusable: true });
    expect(world.link.transport).toBe('sse');
    world.receive(HELLO);
    expect(world.stream.status).toMatchObject({ phase: 'live', transport: 'sse' });
  });

  test.each([0, 1, 3, 5, 8, 11, 13, 14, 60, 600])(
    'polls no longer than 15 s on a way that is good again after %i s',
    (ill) => {
      const world = new World();
      world.stream.start();
      // Whatever isn't a poll hangs: it opens, and nothing comes.
      vi.advanceTimersByTime(2000);
      const poll = world.links.find(({ transport }) => transport === 'longpoll')!;
      poll.listener.received(HELLO);
      poll.listener.alive('E.1');
      expect(world.stream.status.transport).toBe('longpoll');
      const wait = (seconds: number, done: () => boolean = () => false): number => {
        for (let tenth = 0; tenth < seconds * 10; tenth += 1) {
          if (done()) {
            return tenth / 10;
          }
          vi.advanceTimersByTime(100);
          if (!poll.closed && tenth % 10 === 0) {
            poll.listener.alive('E.2');
          }
        }
        return seconds;
      };
      wait(ill);
      const before = world.links.length;
      const answer = (): boolean => {
        for (const link of world.links.slice(before)) {
          if (!link.closed) {
            link.listener.received(HELLO);
          }
        }
        return world.stream.status.transport !== 'longpoll';
      };
      expect(wait(60, answer)).toBeLessThanOrEqual(15);
      expect(poll.closed).toBe(true);
    },
  );

  test('one that delivers its opening and then nothing is passed over', () => {
    const world = new World();
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    vi.advanceTimersByTime(37_501);
    expect(world.opened).toEqual(['websocket', 'sse']);
    expect(world.link.since).toBe('E.1');
  });

  test('an explicit choice is all that is tried', () => {
    const world = new World(['longpoll']);
    world.stream.start();
    vi.advanceTimersByTime(60_000);
    expect(new Set(world.opened)).toEqual(new Set(['longpoll']));
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

describe('without a network', () => {
  const page = new EventTarget();
  beforeEach(() => {
    vi.stubGlobal('window', page);
    vi.stubGlobal('document', page);
  });
  const online = (yes: boolean): void => {
    vi.stubGlobal('navigator', { onLine: yes });
    page.dispatchEvent(new Event(yes ? 'online' : 'offline'));
  };

  test('says that the device is offline, until it is back', () => {
    const world = new World();
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    online(false);
    expect(world.stream.status).toMatchObject({ phase: 'live', offline: false });
    vi.advanceTimersByTime(3000);
    expect(world.stream.status).toMatchObject({
      phase: 'waiting',
      offline: true,
      reason: 'this device is offline',
    });
    vi.advanceTimersByTime(0);
    world.end({ reason: 'the server can’t be reached' });
    expect(world.stream.status.reason).toBe('this device is offline');
    online(true);
    expect(world.phase).toBe('connecting');
    world.receive(HELLO);
    expect(world.stream.status).toMatchObject({ phase: 'live', offline: false, reason: '' });
  });

  test('a link within this machine goes on', () => {
    const world = new World();
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    online(false);
    vi.advanceTimersByTime(2000);
    world.receive(heartbeat('E.2'));
    vi.advanceTimersByTime(20_000);
    expect(world.stream.status).toMatchObject({ phase: 'live', offline: false });
  });

  test('one that was cut before learns why', () => {
    const world = new World();
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    world.end({ reason: 'the connection broke' });
    expect(world.stream.status).toMatchObject({ offline: false, reason: 'the connection broke' });
    online(false);
    expect(world.stream.status).toMatchObject({ offline: true, reason: 'this device is offline' });
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
    // One that takes long may have begun while the machine was away.
    vi.advanceTimersByTime(1000);
    world.stream.retryNow();
    expect(world.links[1]!.closed).toBe(true);
    expect(world.links.length).toBe(3);
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

describe('while nobody looks', () => {
  test('asks for less, then lets go, and resumes with its cursor', () => {
    const world = new World(['websocket']);
    world.stream.start();
    world.receive(HELLO, heartbeat('E.5'));
    world.stream.setPresence('low');
    expect(world.link.said).toEqual([
      { type: 'watch', select: ['up', 'node_load1{host="a"}'], max_hz: 1 },
    ]);
    world.receive(HELLO, heartbeat('E.6'));
    world.stream.setPresence('none');
    expect(world.link.closed).toBe(true);
    expect(world.stream.status).toMatchObject({ phase: 'paused', retryAt: null });
    vi.advanceTimersByTime(3_600_000);
    expect(world.links.length).toBe(1);
    world.stream.setPresence('full');
    expect(world.link.since).toBe('E.6');
    expect(world.link.url.searchParams.get('max_hz')).toBe('5');
    world.receive(HELLO);
    expect(world.phase).toBe('live');
    expect(world.link.said).toEqual([]);
  });

  test('does not even begin before somebody looks', () => {
    const world = new World(['websocket']);
    world.stream.setPresence('none');
    world.stream.start();
    expect(world.links.length).toBe(0);
    expect(world.phase).toBe('paused');
    world.stream.setPresence('low');
    expect(world.link.url.searchParams.get('max_hz')).toBe('1');
  });

  test('is back at its rate when it is seen again', () => {
    const world = new World(['websocket']);
    world.stream.start();
    world.stream.setPresence('low');
    world.receive(HELLO);
    expect(world.link.said).toHaveLength(1);
    world.stream.setPresence('full');
    vi.advanceTimersByTime(100);
    expect(world.link.said.at(-1)).toMatchObject({ max_hz: 5 });
  });

  test('polls ask for less by themselves', () => {
    const world = new World(['longpoll']);
    world.stream.start();
    world.link.listener.alive('E.1');
    world.stream.setPresence('low');
    expect(world.link.request().url.searchParams.get('max_hz')).toBe('1');
    world.stream.setPresence('full');
    expect(world.link.request().url.searchParams.get('max_hz')).toBe('5');
  });

  test.each(['online', 'pageshow', 'visibilitychange'])('%s ends a wait at once', (event) => {
    const page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
    vi.stubGlobal('window', page);
    vi.stubGlobal('document', page);
    const world = new World(['websocket'], 1);
    world.stream.start();
    world.receive(HELLO);
    world.end();
    page.visibilityState = 'hidden';
    page.dispatchEvent(new Event(event));
    expect(world.links.length).toBe(1);
    page.visibilityState = 'visible';
    page.dispatchEvent(new Event(event));
    expect(world.links.length).toBe(2);
    // What the server asked for still holds.
    world.end({ after: 5000 });
    page.dispatchEvent(new Event(event));
    expect(world.links.length).toBe(2);
    world.stream.close();
    page.dispatchEvent(new Event(event));
    vi.advanceTimersByTime(60_000);
    expect(world.links.length).toBe(2);
  });

  test('a page that slept finds out at once that its link is dead', () => {
    const page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
    vi.stubGlobal('window', page);
    vi.stubGlobal('document', page);
    const world = new World(['websocket']);
    world.stream.start();
    world.receive(HELLO);
    // Timers stand still in sleep.
    vi.setSystemTime(Date.now() + 600_000);
    page.dispatchEvent(new Event('pageshow'));
    vi.advanceTimersByTime(0);
    expect(world.links.length).toBe(2);
  });
});

describe('a token', () => {
  test('is shown with each request', () => {
    const world = new World(['websocket'], 0.5, { token: 'secret' });
    world.stream.start();
    expect(world.link.request().token).toBe('secret');
    world.end({ advice: 'never', unauthorized: true, reason: 'unknown token' });
    expect(world.stream.status).toMatchObject({ phase: 'refused', reason: 'unknown token' });
  });

  test('is fetched, kept, and fetched once more when it is refused', async () => {
    const tokens = ['first', 'second', 'third'];
    const token = vi.fn(async () => tokens.shift()!);
    const world = new World(['websocket'], 0, { token });
    world.stream.start();
    expect(world.links.length).toBe(0);
    await vi.advanceTimersByTimeAsync(0);
    expect(world.link.request().token).toBe('first');
    world.receive(HELLO);
    world.end();
    await vi.advanceTimersByTimeAsync(500);
    expect(world.link.request().token).toBe('first');
    world.end({ advice: 'never', unauthorized: true, reason: 'expired' });
    await vi.advanceTimersByTimeAsync(0);
    expect(world.link.request().token).toBe('second');
    world.end({ advice: 'never', unauthorized: true, reason: 'expired' });
    expect(world.phase).toBe('refused');
    expect(token).toHaveBeenCalledTimes(2);
    world.stream.retryNow();
    await vi.advanceTimersByTimeAsync(0);
    expect(world.link.request().token).toBe('third');
  });

  test('that cannot be fetched is asked for again later, with the reason told', async () => {
    let broken = true;
    const token = async () => {
      if (broken) {
        throw new Error('the login service is down');
      }
      return 'here';
    };
    const world = new World(['websocket'], 0, { token });
    world.stream.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(world.stream.status).toMatchObject({
      phase: 'waiting',
      reason: 'there is no token: the login service is down',
    });
    broken = false;
    await vi.advanceTimersByTimeAsync(500);
    expect(world.link.request().token).toBe('here');
  });

  test('that never comes is given up', async () => {
    const world = new World(['websocket'], 0, { token: () => new Promise<string>(() => {}) });
    world.stream.start();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(world.stream.status).toMatchObject({
      phase: 'waiting',
      reason: 'there is no token: fetching it took too long',
    });
  });

  test('that expires is fetched anew, but not again and again', async () => {
    let count = 0;
    const world = new World(['websocket'], 0, { token: async () => `token ${++count}` });
    const refuse = () => world.end({ advice: 'back-off', unauthorized: true, reason: 'expired' });
    world.stream.start();
    await vi.advanceTimersByTimeAsync(0);
    for (const round of [1, 2, 3]) {
      expect(world.link.request().token).toBe(`token ${round}`);
      world.receive(HELLO, heartbeat(`E.${round}`));
      await vi.advanceTimersByTimeAsync(6_000);
      refuse();
      await vi.advanceTimersByTimeAsync(0);
    }
    // This one is refused as soon as it is shown.
    world.receive(HELLO);
    refuse();
    expect(world.phase).toBe('waiting');
    expect(count).toBe(4);
  });

  test('that comes after the stream was closed opens nothing', async () => {
    const world = new World(['websocket'], 0, { token: async () => 'late' });
    world.stream.start();
    world.stream.close();
    await vi.advanceTimersByTimeAsync(1000);
    expect(world.links.length).toBe(0);
  });
});

describe('changing what is shown', () => {
  const query = (...select: string[]) => ({ select, window: '15m', merge: 'all' as const });

  test('what is added is asked for on the link, with its window', () => {
    const world = new World(['websocket'], 0, { query: query('a') });
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    world.stream.change(query('a', 'b'));
    expect(world.link.said).toEqual([
      { type: 'watch', select: ['a', 'b'], window: '15m', max_hz: 10 },
    ]);
    world.receive(HELLO, { type: 'points', id: 'E.2', points: [] });
    world.end();
    vi.advanceTimersByTime(500);
    expect(world.link.url.searchParams.getAll('select')).toEqual(['a', 'b']);
  });

  test('what is asked for one by one is said together', () => {
    const world = new World(['websocket'], 0, { query: query('a') });
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    const select = ['a'];
    for (let n = 0; n < 30; n += 1) {
      select.push(`b${n}`);
      world.stream.change(query(...select));
      vi.advanceTimersByTime(10);
    }
    vi.advanceTimersByTime(100);
    expect(world.link.said.length).toBeLessThanOrEqual(5);
    expect(world.link.said.at(-1)!.select).toEqual(select);
    // All is there once all was answered, and not before.
    for (const [index] of world.link.said.entries()) {
      expect(world.link.request().url.searchParams.getAll('select')).toEqual(['a']);
      world.receive(HELLO, heartbeat(`E.${index + 2}`));
    }
    expect(world.link.request().url.searchParams.getAll('select')).toEqual(select);
  });

  test('what is left out and wanted again at once comes with its history', () => {
    const world = new World(['websocket'], 0, { query: query('a', 'b') });
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    world.stream.change(query('b', 'a', 'c'));
    world.stream.change(query('a', 'c'));
    world.stream.change(query('a', 'b', 'c'));
    vi.advanceTimersByTime(100);
    expect(world.link.said.map(({ select }) => select)).toEqual([
      ['b', 'a', 'c'],
      ['a', 'c'],
      ['a', 'b', 'c'],
    ]);
  });

  test('a cursor that is true of nothing that is wanted is dropped', () => {
    const world = new World(['websocket'], 0, { query: query('a') });
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    world.stream.change(query('a', 'b'));
    world.stream.change(query('b'));
    world.end();
    vi.advanceTimersByTime(500);
    expect(world.link.url.searchParams.getAll('select')).toEqual(['b']);
    expect(world.link.since).toBe(null);
    world.receive(HELLO, heartbeat('E.2'));
    expect(world.link.said).toEqual([]);
    world.end();
    vi.advanceTimersByTime(500);
    expect(world.link.since).toBe('E.2');
  });

  test('is asked for again where the link ended before the history had come', () => {
    const again: (readonly string[])[] = [];
    const world = new World(['websocket'], 0, {
      query: query('a'),
      onAgain: (selectors) => again.push(selectors),
    });
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    world.stream.change(query('a', 'b'));
    // The old view still ticks; then a part of the history, without a cursor of its own.
    world.receive(heartbeat('E.2'), HELLO, { type: 'points', points: [] });
    world.end();
    vi.advanceTimersByTime(500);
    expect(world.link.url.searchParams.getAll('select')).toEqual(['a']);
    expect(world.link.since).toBe('E.2');
    world.receive(HELLO);
    expect(again).toEqual([['b']]);
    expect(world.link.said).toMatchObject([{ select: ['a', 'b'], window: '15m' }]);
  });

  test('leaving something out needs nothing, on any transport', () => {
    const world = new World(['longpoll'], 0, { query: query('a', 'b') });
    world.stream.start();
    world.link.listener.alive('E.1');
    world.stream.change(query('b'));
    expect(world.link.request().url.searchParams.getAll('select')).toEqual(['b']);
    expect(world.links.length).toBe(1);
  });

  test('what is refused is left out, and the rest goes on', () => {
    const out: unknown[] = [];
    const world = new World(['websocket'], 0, {
      query: query('a'),
      onLeftOut: (selectors, end) => out.push([selectors, end?.reason]),
    });
    world.stream.start();
    world.receive(HELLO, heartbeat('E.1'));
    world.stream.change(query('a', 'b'));
    world.end({ advice: 'never', reason: 'no room for b' });
    expect(out).toEqual([[['b'], 'no room for b']]);
    expect(world.phase).toBe('connecting');
    expect(world.link.since).toBe('E.1');
    world.receive(HELLO);
    expect(world.link.said).toEqual([]);
  });

  describe('on a link that polls', () => {
    function polling(options: Partial<StreamOptions> = {}): World {
      const world = new World(['longpoll'], 0, { query: query('a'), ...options });
      world.stream.start();
      world.link.listener.alive('E.1');
      return world;
    }

    test('the history of what is added comes by its side, and then one link has all', () => {
      const again: (readonly string[])[] = [];
      const world = polling({ onAgain: (selectors) => again.push(selectors) });
      const [main] = world.links;
      world.stream.change(query('a', 'b'));
      const backfill = world.link;
      expect(backfill.url.search).toBe('?select=b&window=15m&merge=all');
      main!.listener.alive('E.5');
      expect(main!.request().url.search).toBe('?select=a&window=15m&merge=all&since=E.5');
      world.receive({ type: 'points', id: 'E.7', points: [] });
      expect(world.stream.cursor).toBe('E.5');
      backfill.listener.alive('E.7');
      expect([main!.closed, backfill.closed]).toEqual([true, true]);
      // From where the first was when the second was asked for: what comes again is known.
      expect(world.link.url.search).toBe('?select=a&select=b&window=15m&merge=all&since=E.1');
      expect(again).toEqual([['b'], ['a', 'b']]);
      expect(world.documents).toEqual([{ type: 'points', series: [], points: [] }]);
      expect(world.phase).toBe('live');
      expect(world.statuses.filter(({ phase }) => phase === 'connecting').length).toBe(1);
    });

    test('a history that has come less far is where the link goes on', () => {
      const world = polling();
      world.stream.cursor = 'E.9';
      world.stream.change(query('a', 'b'));
      world.link.listener.alive('E.7');
      expect(world.link.since).toBe('E.7');
    });

    test('what is added meanwhile comes next', () => {
      const world = polling();
      world.stream.change(query('a', 'b'));
      world.stream.change(query('a', 'b', 'c'));
      world.link.listener.alive('E.2');
      expect(world.link.url.searchParams.getAll('select')).toEqual(['a', 'b']);
      world.link.listener.alive('E.2');
      expect(world.link.url.searchParams.getAll('select')).toEqual(['c']);
      world.link.listener.alive('E.2');
      expect(world.link.url.searchParams.getAll('select')).toEqual(['a', 'b', 'c']);
    });

    test('is tried again later where that fails, and left out where it is refused', () => {
      const out: unknown[] = [];
      const world = polling({
        onLeftOut: (selectors, end) => out.push([selectors, end.reason]),
      });
      const [main] = world.links;
      world.stream.change(query('a', 'b'));
      world.end({ after: 3000 });
      vi.advanceTimersByTime(2999);
      expect(world.links.length).toBe(2);
      vi.advanceTimersByTime(1);
      expect(world.links.length).toBe(3);
      world.end({ advice: 'never', reason: 'no room for b' });
      expect(out).toEqual([[['b'], 'no room for b']]);
      expect(main!.closed).toBe(false);
      expect(world.phase).toBe('live');
    });

    test('nothing comes by the side of a link that has ended', () => {
      const world = polling();
      const [main] = world.links;
      world.stream.change(query('a', 'b'));
      const backfill = world.link;
      main!.listener.ended({ advice: 'at-once', reason: 'cut' });
      expect(backfill.closed).toBe(true);
      vi.advanceTimersByTime(1);
      expect(world.link.url.searchParams.getAll('select')).toEqual(['a']);
      world.link.listener.alive('E.1');
      expect(world.link.url.searchParams.getAll('select')).toEqual(['b']);
    });
  });

  /** Streams of which the server that is asked by the side knows nothing, and polls. */
  function unknown(links: Opened[]): readonly Transport[] {
    const [sse, longpoll] = transports(['sse', 'longpoll'], links);
    const deaf: Transport = {
      ...sse!,
      open: (request, listener) => ({
        ...sse!.open(request, listener),
        watch: async () => ({ advice: 'back-off', reason: 'no such session', unusable: true }),
      }),
    };
    return [deaf, longpoll!];
  }

  test('where a rate can not be told, another stream is opened for it', async () => {
    const links: Opened[] = [];
    const world = new World([], 0, { query: query('a'), transports: unknown(links) });
    world.stream.start();
    links[0]!.listener.received(HELLO);
    links[0]!.listener.received(heartbeat('E.1'));
    world.stream.change({ ...query('a'), maxHz: 2 });
    await vi.advanceTimersByTimeAsync(0);
    expect(links[0]!.closed).toBe(true);
    expect(links[1]!.transport).toBe('sse');
    expect(links[1]!.url.searchParams.get('max_hz')).toBe('2');
    expect(links[1]!.since).toBe('E.1');
    // That one shows what is wanted: nothing is asked by its side.
    links[1]!.listener.received(HELLO);
    links[1]!.listener.received(heartbeat('E.2'));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(links).toHaveLength(2);
  });

  test('what a server that was asked by the side can not find comes by a poll', async () => {
    const links: Opened[] = [];
    const world = new World([], 0, { query: query('a'), transports: unknown(links) });
    world.stream.start();
    links[0]!.listener.received(HELLO);
    links[0]!.listener.received(heartbeat('E.1'));
    world.stream.change(query('a', 'b'));
    await vi.advanceTimersByTimeAsync(0);
    // What the old view still brings is no sign that what was added has come.
    links[0]!.listener.received(heartbeat('E.2'));
    expect(links[1]!.url.searchParams.getAll('select')).toEqual(['b']);
    links[1]!.listener.alive('E.3');
    expect(links[2]!.transport).toBe('sse');
    expect(links[2]!.url.searchParams.getAll('select')).toEqual(['a', 'b']);
    expect(links[2]!.since).toBe('E.1');
  });
});

test('measures the round trip, and how old the newest sample is', async () => {
  const measured = [40, null, 50];
  const world = new World(['websocket'], 0, { measure: async () => measured.shift() ?? null });
  world.stream.start();
  world.receive(HELLO);
  await vi.advanceTimersByTimeAsync(0);
  expect(world.stream.status).toMatchObject({ roundTrip: 40, lag: null });
  const at = Date.now();
  world.receive({ type: 'points', id: 'E.0', points: [[1, at - 9_000, 1]] });
  expect(world.stream.status.lag, 'of a replay').toBeNull();
  world.receive({ type: 'points', id: 'E.1', time: at, points: [[1, at - 250, 1]] });
  expect(world.stream.status.lag).toBe(250);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(world.stream.status.roundTrip).toBe(null);
  world.receive(heartbeat('E.2'));
  await vi.advanceTimersByTimeAsync(30_000);
  expect(world.stream.status.roundTrip).toBe(50);
});
