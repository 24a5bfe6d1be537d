/** Tabs that share one connection, in a browser and a time that are made up. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Document, SubscribeOptions } from '../../src/client/index.ts';
import { read } from '../../src/client/protocol/selector.ts';
import { IDLE } from '../../src/client/stream/status.ts';
import { SeriesTable } from '../../src/client/subscriptions/series-table.ts';
import type { SubscriptionSpec } from '../../src/client/subscriptions/spec.ts';
import { Follower } from '../../src/client/tabs/follower.ts';
import { Service } from './service.ts';
import { Browser, type Tab } from './tabs.ts';

let service: Service;
let browser: Browser;
beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('no network')));
  service = new Service();
  browser = new Browser(service);
});
afterEach(() => {
  for (const tab of browser.tabs) {
    browser.thaw(tab);
    tab.client.close();
  }
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settle = (ms = 50) => vi.advanceTimersByTimeAsync(ms);

function follow(tab: Tab, selector: string, options: SubscribeOptions = {}) {
  const values: unknown[] = [];
  const gaps: (number | null)[] = [];
  browser.current = tab;
  const subscription = tab.client.subscribe(selector, {
    window: '15m',
    onPoints: (points) => values.push(...points.map(({ value }) => value)),
    onGap: (lost) => gaps.push(lost),
    onError: () => {},
    ...options,
  });
  return { subscription, values, gaps };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

test('twenty tabs have one connection, and each has every point once', async () => {
  service.publish('a', 0);
  const tabs = upTo(20).map(() => browser.open());
  const followed = tabs.map((tab) => follow(tab, 'a'));
  await settle();
  expect(service.opened).toBe(1);
  for (let n = 1; n < 10; n += 1) {
    service.publish('a', n);
    await settle();
  }
  for (const { values, gaps, subscription } of followed) {
    expect(values).toEqual(upTo(10));
    expect(gaps).toEqual([]);
    expect(subscription.status).toMatchObject({ phase: 'live', transport: 'websocket' });
  }
});

test('a tab that follows knows what results are called by what the one that polls was told', () => {
  const document: Document = { type: 'points', id: 'E.1', points: [] };
  const poll = { ...document, expressions: { 'avg(b)': 'avg (b)' } };
  const spec: SubscriptionSpec = {
    selectors: ['avg(b)'],
    window: null,
    points: null,
    keep: true,
    maxHz: null,
    merge: 'all',
    step: null,
  };
  const note = { id: 's', spec, alone: false, cursor: null, missing: [], status: IDLE };
  const follower = new Follower(
    () => {},
    {
      streams: [{ ...note, table: new SeriesTable('all', null), heldSince: 0 }],
      places: new Map(),
    },
    () => {},
  );
  follower.hear({ from: 'other', type: 'lead', notes: [note] });
  follower.hear({ from: 'other', type: 'document', stream: 's', text: JSON.stringify(poll) });
  expect(read('avg(b)')?.('avg (b)', {})).toBe(true);

  const { expressions } = new SeriesTable('all', null).copy(null, null);
  expect(expressions).toMatchObject({ 'avg(b)': 'avg (b)' });
  const copy = { epoch: null, hello: null, series: [], expressions: { 'avg(c)': 'avg (c)' } };
  new SeriesTable('all', null).load(copy);
  expect(read('avg(c)')?.('avg (c)', {})).toBe(true);
});

/** As the page does it: documents as they come, and nothing kept for tabs that come later. */
function take(tab: Tab, selector: string, window: string) {
  const documents: Document[] = [];
  const joined: (readonly string[])[] = [];
  const doubted: number[] = [];
  browser.current = tab;
  const subscription = tab.client.subscribe(selector, {
    window,
    points: 400,
    keep: false,
    merge: 'envelope',
    onDocument: (document) => documents.push(document),
    onJoined: (had) => joined.push(had),
    onRepeats: () => doubted.push(documents.length),
  });
  const values = () =>
    documents.flatMap((one) =>
      one.type === 'points' ? one.points.map(([, , value]) => value) : [],
    );
  return { subscription, documents, joined, doubted, values };
}

test('tabs that hold nothing have one connection, whatever window each of them wants', async () => {
  service.publish('a', 0);
  const first = take(browser.open(), 'a', '1m');
  await settle();
  expect(first.values()).toEqual([0]);
  expect(first.joined).toEqual([]);
  const later = take(browser.open(), 'a', '1h');
  const other = take(browser.open(), 'b', '1m');
  await settle(500);
  service.publish('a', 1);
  service.publish('b', 2);
  await settle();
  expect(service.opened).toBe(1);
  // What is held of the last minute, under the hello that it came with, and then what all are
  // given.
  expect(later.documents[0]!.type).toBe('hello');
  expect(later.doubted[0]).toBe(0);
  expect(first.doubted).toEqual([]);
  expect(later.joined).toEqual([['a']]);
  // Nobody had asked for it before, so that its past comes by the stream.
  expect(other.joined.flat()).not.toContain('b');
  expect(later.values()).toEqual([0, 1, 2]);
  expect(first.values()).toEqual([0, 1, 2]);
  expect(other.values()).toContain(2);
  later.subscription.close();
  service.publish('a', 3);
  await settle();
  expect(later.values()).not.toContain(3);
});

test('a tab that keeps the past is not served by a stream of those that keep none', async () => {
  take(browser.open(), 'a', '1m');
  await settle();
  follow(browser.open(), 'a', { merge: 'envelope' });
  await settle();
  expect(service.opened).toBe(2);
});

test('points take a window', () => {
  const { client } = browser.open();
  expect(() => client.subscribe('a', { points: 100 })).toThrow(/points takes a window/);
  expect(() => client.subscribe('a', { window: '1m', points: 3 })).toThrow(RangeError);
});

test('a tab that comes later has the history from the others', async () => {
  const first = follow(browser.open(), 'a');
  await settle();
  for (let n = 0; n < 5; n += 1) {
    service.publish('a', n);
    await settle();
  }
  const later = follow(browser.open(), 'a');
  await settle();
  service.publish('a', 5);
  await settle();
  expect(first.values).toEqual(upTo(6));
  expect(later.values).toEqual(upTo(6));
  expect(service.opened).toBe(1);
});

test('tabs that watch different things share one connection too', async () => {
  const [one, two] = [browser.open(), browser.open()];
  const a = follow(one, 'a');
  await settle();
  service.publish('b', 0);
  const b = follow(two, 'b');
  await settle();
  service.publish('a', 0);
  service.publish('b', 1);
  await settle();
  expect([a.values, b.values]).toEqual([[0], [0, 1]]);
  expect(service.opened).toBe(1);
  b.subscription.close();
  await settle();
  expect([...service.sessions].map(({ select }) => select)).toEqual([['a']]);
});

test('a tab that comes in an outage is told the history once', async () => {
  const first = follow(browser.open(), 'a');
  await settle();
  for (let n = 0; n < 5; n += 1) {
    service.publish('a', n);
  }
  await settle();
  service.publish('b', 0);
  const other = follow(browser.open(), 'b');
  await settle();
  service.down = true;
  service.cut();
  const later = follow(browser.open(), '{__name__=~"a|b"}');
  await settle(5_000);
  service.down = false;
  await settle(30_000);
  service.publish('a', 5);
  service.publish('b', 1);
  await settle();
  expect(first.values).toEqual(upTo(6));
  expect(other.values).toEqual([0, 1]);
  expect(later.values.toSorted()).toEqual([0, 0, 1, 1, 2, 3, 4, 5]);
});

describe.each(['closes', 'crashes'])('when the leader %s', (how) => {
  const end = (tab: Tab): void => {
    if (how === 'crashes') {
      // The links of a process that is gone are gone as well.
      browser.crash(tab);
      service.sessions.clear();
    } else {
      browser.run(tab, () => tab.client.close());
    }
  };

  test('another tab goes on, and nobody misses anything or is told anything twice', async () => {
    const tabs = upTo(5).map(() => browser.open());
    const followed = new Map(tabs.map((tab) => [tab, follow(tab, 'a')]));
    await settle();
    let n = 0;
    const led: (Tab | undefined)[] = [];
    for (let round = 0; round < 4; round += 1) {
      for (let step = 0; step < 5; step += 1) {
        service.publish('a', n++);
        await settle(7);
      }
      const leader = browser.leader!;
      led.push(leader);
      end(leader);
      followed.delete(leader);
      service.publish('a', n++);
      await settle(3);
      service.publish('a', n++);
      await settle(200);
    }
    expect(new Set(led).size).toBe(4);
    expect(followed.size).toBe(1);
    await settle(30_000);
    for (const { values, gaps } of followed.values()) {
      expect(values).toEqual(upTo(n));
      expect(gaps).toEqual([]);
    }
    expect(service.sessions.size).toBe(1);
  });

  test('what only others watch goes on as well, and what only it watched ends', async () => {
    const [one, two, three] = [browser.open(), browser.open(), browser.open()];
    follow(one, 'a');
    const b = follow(two, 'b');
    const c = follow(three, 'c{x=~"(?i).*"}');
    await settle();
    expect(browser.leader).toBe(one);
    service.publish('b', 0);
    service.publish('c', 0);
    await settle();
    end(one);
    service.publish('b', 1);
    service.publish('c', 1);
    await settle();
    service.publish('b', 2);
    service.publish('c', 2);
    await settle();
    expect(b.values).toEqual([0, 1, 2]);
    // Nothing tells the selector apart here, so that the model sends it all there is.
    expect(c.values.filter((value) => typeof value === 'number').length).toBeGreaterThan(2);
    await settle(6000);
    const selected = [...service.sessions].map(({ select }) => select).sort();
    expect(selected).toEqual([['b'], ['c{x=~"(?i).*"}']]);
  });
});

test('a leader that is frozen loses its place, and is told what it missed when it is back', async () => {
  const [one, two] = [browser.open(), browser.open()];
  const first = follow(one, 'a');
  const second = follow(two, 'a');
  await settle();
  service.publish('a', 0);
  await settle();
  one.frozen = true;
  service.sessions.clear();
  service.publish('a', 1);
  await settle(30_000);
  expect(browser.leader).toBe(two);
  service.publish('a', 2);
  await settle();
  expect(second.values).toEqual([0, 1, 2]);
  browser.thaw(one);
  await settle(2000);
  service.publish('a', 3);
  await settle();
  expect(first.values).toEqual([0, 1, 2, 3]);
  expect(second.values).toEqual([0, 1, 2, 3]);
  expect(service.sessions.size).toBe(1);
});

test('a tab that crashes is served no more', async () => {
  const [one, two] = [browser.open(), browser.open()];
  follow(one, 'a');
  follow(two, 'b');
  await settle();
  expect([...service.sessions].map(({ select }) => select)).toEqual([['a', 'b']]);
  browser.crash(two);
  await settle(200);
  expect([...service.sessions].map(({ select }) => select)).toEqual([['a']]);
});

test('what the server refuses is told to the tab that asked, and to no other', async () => {
  service.unreadable.add('bad{}');
  const [one, two] = [browser.open(), browser.open()];
  const errors: string[] = [];
  const good = follow(one, 'a');
  follow(two, 'bad{}', { onError: (error) => errors.push(error.message) });
  await settle(100);
  service.publish('a', 0);
  await settle();
  expect(errors).toEqual(["bad{} can't be read"]);
  expect(good.values).toEqual([0]);
});

test('other names, other connections', async () => {
  const [one, two] = [browser.open({ share: 'ops' }), browser.open({ share: 'dev' })];
  follow(one, 'a');
  follow(two, 'a');
  await settle();
  expect(service.sessions.size).toBe(2);
});

test('where there are no locks each tab connects itself', async () => {
  vi.stubGlobal('navigator', {});
  const followed = [follow(browser.open(), 'a'), follow(browser.open(), 'a')];
  await settle();
  service.publish('a', 0);
  expect(service.sessions.size).toBe(2);
  expect(followed.map(({ values }) => values)).toEqual([[0], [0]]);
});

test('the connection is as fast as the tab that is looked at needs, which then leads', async () => {
  const [one, two] = [browser.open(), browser.open()];
  const first = follow(one, 'a');
  const second = follow(two, 'a');
  await settle();
  expect(browser.leader).toBe(one);
  service.publish('a', 0);
  await settle();
  // As the page of the first goes out of sight.
  browser.run(one, () => one.client.source.setPresence('low'));
  await settle();
  expect(browser.leader).toBe(two);
  expect([...service.sessions].map(({ maxHz }) => maxHz)).toEqual([10]);
  browser.run(two, () => two.client.source.setPresence('low'));
  await settle();
  expect([...service.sessions].map(({ maxHz }) => maxHz)).toEqual([1]);
  browser.run(one, () => one.client.source.setPresence('none'));
  browser.run(two, () => two.client.source.setPresence('none'));
  await settle();
  expect(service.sessions.size).toBe(0);
  service.publish('a', 1);
  browser.run(one, () => one.client.source.setPresence('full'));
  await settle(1000);
  service.publish('a', 2);
  await settle();
  expect(first.values).toEqual([0, 1, 2]);
  expect(second.values).toEqual([0, 1, 2]);
  expect(service.sessions.size).toBe(1);
});
