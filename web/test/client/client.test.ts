/** The client on a service that does as the real one does, in a time that is made up. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Client, type ConnectOptions } from '../../src/client/client.ts';
import { connect, type SeriesPoint, type SubscribeOptions } from '../../src/client/index.ts';
import type { Hello } from '../../src/client/protocol/documents.ts';
import type { OwnSource } from '../../src/client/subscriptions/source.ts';
import { Service } from './service.ts';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('no network')));
});
afterEach(() => {
  for (const client of clients.splice(0)) {
    client.close();
  }
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const clients: Client[] = [];
function client(
  service: Service,
  options: ConnectOptions = {},
  ...names: ['longpoll'] | []
): Client {
  const made = new Client(new URL('http://test/v1/stream'), options, service.transports(...names));
  clients.push(made);
  return made;
}

/** Subscribe, and note all that is told. */
function follow(client: Client, selector: string | string[], options: SubscribeOptions = {}) {
  const values: number[] = [];
  const gaps: (number | null)[] = [];
  const errors: string[] = [];
  const subscription = client.subscribe(selector, {
    onPoints: (points: readonly SeriesPoint[]) => {
      values.push(...points.map(({ value }) => value as number));
    },
    onGap: (lost) => gaps.push(lost),
    onError: (error) => errors.push(error.message),
    ...options,
  });
  return { subscription, values, gaps, errors };
}

const settle = (ms = 10) => vi.advanceTimersByTimeAsync(ms);

test('endings are told once, also when they come again, and end what was the newest', async () => {
  const service = new Service();
  service.publish('a', 1, Date.now() - 10_000);
  const endings: [string, number][] = [];
  const subscription = client(service).subscribe('a', {
    window: '1m',
    onEnded: (told) =>
      endings.push(...told.map(({ series, time }): [string, number] => [series.name, time])),
  });
  await settle();
  const time = Date.now();
  const end = (...ended: [number, number][]) => {
    for (const { listener } of service.sessions) {
      listener.received({ type: 'points', id: 'E.1', points: [], ended });
    }
  };
  end([1, time], [9, time]);
  end([1, time]);
  expect(endings).toEqual([['a', time]]);
  expect(subscription.series[0]!.ended).toBe(time);
  await settle(1000);
  service.publish('a', 2);
  expect(subscription.series[0]!.ended).toBeNull();
  end([1, time - 5_000]);
  expect(endings).toEqual([
    ['a', time],
    ['a', time - 5_000],
  ]);
  expect(subscription.series[0]!.ended).toBeNull();
});

test('a subscription that comes later, or gets another stream, knows what has ended', async () => {
  const service = new Service();
  service.publish('a', 1, Date.now() - 10_000);
  const made = client(service);
  made.subscribe('a', { window: '1m' });
  await settle();
  for (const { listener } of service.sessions) {
    listener.received({ type: 'points', id: 'E.1', points: [], ended: [[1, Date.now()]] });
  }
  const later = made.subscribe('a', { window: '30s' });
  await settle();
  expect(later.series[0]!.ended).not.toBeNull();
});

test('each subscription is told which of its own expressions have no results', async () => {
  const service = new Service();
  const made = client(service);
  const told: Readonly<Record<string, string>>[] = [];
  const others: unknown[] = [];
  const updates: unknown[] = [];
  const subscription = made.subscribe('sum(a)', { onFailing: (failing) => told.push(failing) });
  made.subscribe('b', { onFailing: (failing) => others.push(failing) });
  void (async () => {
    for await (const update of subscription) {
      updates.push(update);
    }
  })();
  await settle();
  expect(service.sessions.size).toBe(1);
  const { listener } = [...service.sessions][0]!;
  const granted = {
    max_hz: 10,
    merge: 'all',
    select: ['b', 'sum(a)'],
    expressions: { 'sum(a)': 'sum(a)' },
  } as const;
  const hello: Hello = { type: 'hello', epoch: 'E', session: 's', heartbeat: 15, granted };
  const failing = { 'sum(a)': 'two of them' };
  listener.received(hello);
  expect(told).toEqual([]);
  listener.received({ ...hello, failing });
  listener.received({ type: 'failing', id: 'E.1', failing });
  expect(told).toEqual([failing]);
  const later: unknown[] = [];
  made.subscribe('sum(a)', { onFailing: (failing) => later.push(failing) });
  expect(later).toEqual([failing]);
  listener.received({ type: 'failing', id: 'E.2', failing: {} });
  expect(told).toEqual([failing, {}]);
  expect(later).toEqual([failing, {}]);
  expect(others).toEqual([]);
  await settle();
  expect(updates).toEqual([
    { type: 'failing', failing },
    { type: 'failing', failing: {} },
  ]);
});

test('a step is asked for, and those of another step have another stream', async () => {
  const service = new Service();
  const made = client(service);
  made.subscribe('sum(a)', { step: '5s' });
  made.subscribe('sum(b)', { step: 5 });
  made.subscribe('sum(b)', { step: 10 });
  made.subscribe('sum(b)');
  await settle();
  expect(service.steps).toEqual(['5000ms', '10000ms', null]);
  expect(() => made.subscribe('a', { step: 'soon' })).toThrow(RangeError);
});

describe('one subscription', () => {
  test('begins with the newest sample, or with its window, and goes on', async () => {
    const service = new Service();
    service.publish('a', 1, Date.now() - 120_000);
    service.publish('a', 2, Date.now() - 30_000);
    service.publish('a', 3, Date.now() - 10_000);
    const newest = follow(client(service), 'a');
    const minute = follow(client(service), 'a', { window: '1m' });
    await settle();
    service.publish('a', 4);
    expect(newest.values).toEqual([3, 4]);
    expect(minute.values).toEqual([2, 3, 4]);
    const [series] = minute.subscription.series;
    expect(series).toMatchObject({ name: 'a', kind: 'gauge', gone: false, length: 3 });
    expect(Array.from(series!.values as Float64Array)).toEqual([2, 3, 4]);
    expect(series!.times).toBeInstanceOf(Float64Array);
    expect(series!.latest).toEqual({ time: Date.now(), value: 4 });
  });

  test('misses nothing in an outage, and is told nothing twice', async () => {
    const service = new Service();
    const made = client(service);
    const { values, gaps } = follow(made, 'a', { window: '15m' });
    await settle();
    for (let n = 0; n < 50; n += 1) {
      service.publish('a', n);
      if (n % 7 === 3) {
        service.cut();
      }
      await vi.advanceTimersByTimeAsync(700);
    }
    await vi.advanceTimersByTimeAsync(30_000);
    expect(values).toEqual(Array.from({ length: 50 }, (_, n) => n));
    expect(gaps).toEqual([]);
    expect(made.status.phase).toBe('live');
  });

  test('tells of an unknown gap after a restart, and does not tell again what is the same', async () => {
    const [before, after] = [new Service('old'), new Service('new')];
    let service = before;
    const made = new Client(new URL('http://test/v1/stream'), {}, [
      {
        name: 'websocket',
        hold: 0,
        open: (request, listener) => service.transports()[0]!.open(request, listener),
      },
    ]);
    clients.push(made);
    const { values, gaps } = follow(made, 'a', { window: '15m' });
    await settle();
    const start = Date.now();
    for (let n = 0; n < 4; n += 1) {
      service.publish('a', n, start + n);
    }
    service = after;
    // It has kept the last two, from a journal say, and there are two more.
    for (let n = 2; n < 6; n += 1) {
      after.publish('a', n, start + n);
    }
    before.cut();
    await vi.advanceTimersByTimeAsync(1000);
    expect(values).toEqual([0, 1, 2, 3, 4, 5]);
    expect(gaps).toEqual([null]);
  });

  test('ends with close, with a signal, and with the client', async () => {
    const service = new Service();
    const made = client(service);
    const abort = new AbortController();
    const one = follow(made, 'a');
    const two = follow(made, 'a', { signal: abort.signal });
    const three = follow(made, 'a');
    await settle();
    one.subscription.close();
    service.publish('a', 1);
    abort.abort();
    service.publish('a', 2);
    made.close();
    expect(service.sessions.size).toBe(0);
    service.publish('a', 3);
    expect([one.values, two.values, three.values]).toEqual([[], [1], [1, 2]]);
    expect(() => made.subscribe('a')).toThrow('closed');
  });

  test('what a callback throws is the page’s own, and stops nothing', async () => {
    const service = new Service();
    const thrown: unknown[] = [];
    vi.stubGlobal('queueMicrotask', (task: () => void) =>
      Promise.resolve()
        .then(task)
        .catch((error) => thrown.push(error)),
    );
    const { subscription } = follow(client(service), 'a', {
      onPoints: () => {
        throw new Error('mine');
      },
    });
    await settle();
    service.publish('a', 1);
    service.publish('a', 2);
    await settle();
    expect(subscription.series[0]!.latest!.value).toBe(2);
    expect(thrown).toHaveLength(2);
  });

  test.each([
    ['a window', { window: 'soon' }],
    ['a rate', { maxHz: -1 }],
    ['a way to merge', { merge: 'mean' as 'last' }],
  ])('refuses %s that can not be meant', (_, options) => {
    expect(() => client(new Service()).subscribe('a', options)).toThrow();
  });
});

describe('several subscriptions', () => {
  test('that come together share one stream, and each is told its own', async () => {
    const service = new Service();
    const made = client(service);
    const a = follow(made, 'a', { window: '1m' });
    const b = follow(made, 'b', { window: '15m' });
    const both = follow(made, ['a', 'b']);
    await settle();
    expect(service.opened).toBe(1);
    service.publish('a', 1);
    service.publish('b', 2);
    expect([a.values, b.values, both.values]).toEqual([[1], [2], [1, 2]]);
    expect(a.subscription.series.map(({ name }) => name)).toEqual(['a']);
  });

  test('that come later join on the same link, with their history', async () => {
    const service = new Service();
    for (let n = 0; n < 5; n += 1) {
      service.publish('b', n, Date.now() - 5000 + n);
    }
    const made = client(service);
    const a = follow(made, 'a', { window: '15m' });
    await settle();
    service.publish('a', 1);
    const b = follow(made, 'b', { window: '1m' });
    const again = follow(made, 'a', { window: '1m' });
    const newest = follow(made, 'a');
    expect(again.values).toEqual([1]);
    expect(newest.values).toEqual([1]);
    await settle();
    service.publish('b', 5);
    service.publish('a', 2);
    expect(service.opened).toBe(1);
    expect(b.values).toEqual([0, 1, 2, 3, 4, 5]);
    expect([a.values, again.values, newest.values]).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    // The others go on when one leaves.
    a.subscription.close();
    again.subscription.close();
    newest.subscription.close();
    await settle(200);
    expect([...service.sessions].map(({ select }) => select)).toEqual([['b']]);
    service.publish('b', 6);
    expect(b.values.at(-1)).toBe(6);
  });

  test('one that is closed and made again in one turn has its history again', async () => {
    const service = new Service();
    service.publish('b', 0);
    const made = client(service);
    follow(made, 'a', { window: '15m' });
    let b = follow(made, 'b', { window: '15m' });
    await settle(500);
    for (let n = 1; n < 6; n += 1) {
      service.publish('b', n);
      expect(b.values).toEqual(Array.from({ length: n + 1 }, (_, value) => value));
      b.subscription.close();
      b = follow(made, 'b', { window: '15m' });
      await settle(250);
    }
    expect(b.values).toEqual([0, 1, 2, 3, 4, 5]);
    expect(service.opened).toBe(1);
  });

  test.each([
    ['a longer window', 'b', { window: '1h' }],
    ['another rate', 'b', { maxHz: 1 }],
    ['another way to merge', 'b', { merge: 'last' as const }],
    ['a selector that only the server reads', 'b{x=~"(?i)y"}', {}],
  ])('that want %s have a stream of their own', async (_, selector, options) => {
    const service = new Service();
    const made = client(service);
    follow(made, 'a', { window: '15m' });
    await settle();
    const other = follow(made, selector, options);
    await settle();
    expect(service.sessions.size).toBe(2);
    service.publish('b', 1);
    if (selector === 'b') {
      expect(other.values).toEqual([1]);
    }
    other.subscription.close();
    expect(service.sessions.size).toBe(1);
  });

  test('that come later join on a link that polls, with their history', async () => {
    const service = new Service();
    service.publish('b', 1);
    const made = client(service, {}, 'longpoll');
    const a = follow(made, 'a', { window: '15m' });
    await settle();
    service.publish('a', 1);
    const b = follow(made, 'b', { window: '15m' });
    // While the past of b is on its way, a goes on.
    service.publish('a', 2);
    await settle();
    expect([...service.sessions].map(({ select }) => select)).toEqual([['a', 'b']]);
    service.publish('b', 2);
    service.publish('a', 3);
    const both = follow(made, ['a', 'b'], { window: '15m' });
    await settle();
    service.publish('b', 3);
    expect([a.values, b.values]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(both.values.toSorted()).toEqual([1, 1, 2, 2, 3, 3]);
    expect(service.sessions.size).toBe(1);
  });

  test('on a link that polls, one that is refused is told so, and the others go on', async () => {
    const service = new Service();
    service.unreadable.add('b');
    const made = client(service, {}, 'longpoll');
    const a = follow(made, 'a');
    await settle();
    const b = follow(made, 'b');
    await settle();
    service.publish('a', 1);
    expect(b.errors).toEqual(["b can't be read"]);
    expect(a.values).toEqual([1]);
  });

  test('more than a stream can carry are spread over several', async () => {
    const service = new Service();
    const made = client(service);
    const all = Array.from({ length: 40 }, (_, n) => follow(made, `m${n}`));
    await settle();
    expect(service.sessions.size).toBe(2);
    for (const n of all.keys()) {
      service.publish(`m${n}`, n);
    }
    expect(all.map(({ values }) => values)).toEqual(all.map((_, n) => [n]));
  });

  test('one that can not be read does not take the others down', async () => {
    const service = new Service();
    service.unreadable.add('bad{}');
    const made = client(service);
    const good = follow(made, 'a');
    const bad = follow(made, 'bad{}');
    await vi.advanceTimersByTimeAsync(100);
    service.publish('a', 1);
    expect(good.values).toEqual([1]);
    expect(bad.errors).toEqual(["bad{} can't be read"]);
    await expect(bad.subscription[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      name: 'SubscriptionError',
      code: 'selector',
    });
  });

  test('that come and go in an outage lose nothing', async () => {
    const service = new Service();
    service.publish('b', 0);
    const made = client(service);
    const a = follow(made, 'a', { window: '15m' });
    await settle();
    service.publish('a', 1);
    service.down = true;
    service.cut();
    const b = follow(made, 'b', { window: '15m' });
    service.publish('a', 2);
    service.publish('b', 1);
    await vi.advanceTimersByTimeAsync(5000);
    service.down = false;
    await vi.advanceTimersByTimeAsync(30_000);
    service.publish('a', 3);
    service.publish('b', 2);
    expect(a.values).toEqual([1, 2, 3]);
    expect(b.values).toEqual([0, 1, 2]);
    expect(service.sessions.size).toBe(1);
  });
});

describe('as an async iterator', () => {
  test('gives updates in order, and leaving the loop closes the subscription', async () => {
    const service = new Service();
    const made = client(service);
    const subscription = made.subscribe('a');
    const values: unknown[] = [];
    const loop = (async () => {
      for await (const update of subscription) {
        if (update.type === 'points') {
          values.push(...update.points.map(({ value }) => value));
          if (values.length === 3) {
            break;
          }
        }
      }
    })();
    await settle();
    service.publish('a', 1);
    await settle();
    service.publish('a', 2);
    service.publish('a', 3);
    service.publish('a', 4);
    await loop;
    expect(values).toEqual([1, 2, 3]);
    await settle();
    expect(service.sessions.size).toBe(0);
  });

  test('a loop that is too slow loses the oldest, and is told how many', async () => {
    const service = new Service();
    const subscription = client(service).subscribe('a');
    const iterator = subscription[Symbol.asyncIterator]();
    await settle();
    for (let n = 0; n < 10_500; n += 1) {
      service.publish('a', n);
    }
    expect(await iterator.next()).toEqual({ done: false, value: { type: 'gap', lost: 500 } });
    const { value } = await iterator.next();
    expect(value).toMatchObject({ type: 'points', points: [{ value: 500 }] });
  });

  test('ends when the subscription does, after what has come', async () => {
    const service = new Service();
    const subscription = client(service).subscribe('a');
    const iterator = subscription[Symbol.asyncIterator]();
    await settle();
    service.publish('a', 1);
    subscription.close();
    expect((await iterator.next()).done).toBe(false);
    expect((await iterator.next()).done).toBe(true);
    expect((await subscription[Symbol.asyncIterator]().next()).done).toBe(true);
  });
});

test('forgets what is older than the window, and series that are gone', async () => {
  const service = new Service();
  const { subscription } = follow(client(service), ['a', 'b'], { window: '1m' });
  await settle();
  service.publish('b', 1);
  for (let second = 0; second < 600; second += 1) {
    service.publish('a', second);
    await vi.advanceTimersByTimeAsync(1000);
  }
  const a = subscription.series.find(({ name }) => name === 'a')!;
  expect(a.length).toBeGreaterThanOrEqual(60);
  expect(a.length).toBeLessThanOrEqual(66);
  const [session] = service.sessions;
  session!.listener.received({ type: 'gone', id: 'E.700', refs: [1] });
  expect(subscription.series.find(({ name }) => name === 'b')!.gone).toBe(true);
  await vi.advanceTimersByTimeAsync(10_000);
  service.publish('a', 1);
  expect(subscription.series.map(({ name }) => name)).toEqual(['a']);
});

test('holds no more for series that come and go, and servers that restart, all the time', async () => {
  const service = new Service();
  const made = client(service);
  const { subscription } = follow(made, '', { window: '1m' });
  await settle();
  const [session] = service.sessions;
  let ref = 0;
  for (let round = 0; round < 300; round += 1) {
    const refs = Array.from({ length: 20 }, () => ++ref);
    session!.listener.received({
      type: 'points',
      id: `E.${round}`,
      series: refs.map((ref) => ({ ref, name: `m${ref}`, labels: {}, kind: 'gauge', unit: '' })),
      points: refs.map((ref) => [ref, Date.now(), 1]),
    });
    if (round % 3 === 0) {
      const granted = { max_hz: 10, merge: 'all' as const, select: [] };
      session!.listener.received({
        type: 'hello',
        epoch: `epoch ${round}`,
        session: 's',
        heartbeat: 15,
        granted,
      });
    } else {
      session!.listener.received({ type: 'gone', id: `E.${round}`, refs });
    }
    await vi.advanceTimersByTimeAsync(10_000);
  }
  // Those of the last minute, and those that were found to be old by the last trimming.
  expect(subscription.series.length).toBeLessThanOrEqual(9 * 20);
  const [shared] = (made.source as OwnSource).pool.all;
  expect(shared!.table.routes.size).toBe(subscription.series.length);
  expect(shared!.table.refs.size).toBeLessThanOrEqual(3 * 20);
});

test('a page out of sight asks for less, lets go, and has all when it is seen again', async () => {
  const page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  vi.stubGlobal('document', page);
  vi.stubGlobal('window', page);
  const service = new Service();
  const made = client(service);
  const { values } = follow(made, 'a');
  await settle();
  const show = (visibility: string): void => {
    page.visibilityState = visibility;
    page.dispatchEvent(new Event('visibilitychange'));
  };
  const hz = () => [...service.sessions].map(({ maxHz }) => maxHz);
  show('hidden');
  await vi.advanceTimersByTimeAsync(9_000);
  expect(hz()).toEqual([10]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(hz()).toEqual([1]);
  service.publish('a', 1);
  show('visible');
  await settle();
  expect(hz()).toEqual([10]);
  show('hidden');
  await vi.advanceTimersByTimeAsync(11_000);
  for (let beat = 0; beat < 30; beat += 1) {
    service.publish('a', 2 + beat);
    await vi.advanceTimersByTimeAsync(10_000);
  }
  expect(made.status.phase).toBe('paused');
  expect(service.sessions.size).toBe(0);
  service.publish('a', 32);
  show('visible');
  await settle();
  expect(values).toEqual(Array.from({ length: 32 }, (_, n) => n + 1));
});

describe('connect', () => {
  test.each([
    ['http://host', 'http://host/v1/stream'],
    ['http://host/', 'http://host/v1/stream'],
    ['http://host/push', 'http://host/push/v1/stream'],
    ['http://host/push/?x=1#y', 'http://host/push/v1/stream'],
    ['http://host/v1/stream', 'http://host/v1/stream'],
  ])('%s is watched at %s', async (url, stream) => {
    const asked: string[] = [];
    vi.stubGlobal('fetch', async (input: URL) => {
      asked.push(`${input.origin}${input.pathname}`);
      throw new TypeError('no network');
    });
    const made = connect(url, { transports: ['sse'] });
    clients.push(made);
    made.subscribe('');
    await settle();
    expect(asked[0]).toBe(stream);
  });

  test('refuses transports that there are not', () => {
    expect(() => connect('http://host', { transports: ['smoke' as 'sse'] })).toThrow('smoke');
    expect(() => connect('http://host', { transports: [] })).toThrow('one at least');
  });

  test('tells a listener how it is, at once and after every change', async () => {
    const made = client(new Service());
    const phases: string[] = [];
    const stop = made.onStatus(({ phase }) => phases.push(phase));
    made.subscribe('a');
    await settle();
    stop();
    made.close();
    expect([...new Set(phases)]).toEqual(['closed', 'connecting', 'live']);
  });
});
