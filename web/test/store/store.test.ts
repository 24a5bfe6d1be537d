/** Columns against a plain list, gaps, rates, panels, and what documents do to the store. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Description, Document, Kind } from '../../src/client/index.ts';
import { Column } from '../../src/store/column.ts';
import type { Panel } from '../../src/store/panel.ts';
import { holdOrder, rank } from '../../src/store/ranking.ts';
import { latestOf, lineOf, valueAt } from '../../src/store/rate.ts';
import { Series } from '../../src/store/series.ts';
import { Store } from '../../src/store/store.ts';

const list = (column: Column): number[][] => {
  const { times, values } = column.slice();
  return Array.from(times, (time, index) => [time, values[index]!]);
};

const hello = (epoch: string): Document => ({
  type: 'hello',
  epoch,
  session: 's',
  heartbeat: 15,
  granted: { max_hz: 10, merge: 'envelope', select: [] },
});

test('a thinned past has no gaps, says nothing of how often there are samples, and is refined', () => {
  const store = new Store({ arranged: () => {}, changed: () => {} });
  store.thinnedMs = 9_000;
  store.take({
    type: 'hello',
    epoch: 'E',
    session: 's',
    heartbeat: 15,
    granted: { max_hz: 10, merge: 'envelope', select: [], points: 100 },
  });
  store.take({
    type: 'points',
    series: [{ ref: 1, name: 'load', labels: {}, kind: 'gauge', unit: '' }],
    points: Array.from({ length: 100 }, (_, at) => [1, at * 9_000, 5, 1, 9, 90] as const),
  });
  const series = store.find('load', {})!;
  expect(series.interval).toBe(0);
  expect(store.thinnedUntil).toBe(99 * 9_000);
  for (let at = 1; at < 200; at += 1) {
    store.take({ type: 'points', time: 1, points: [[1, 99 * 9_000 + at * 100, 5]] });
  }
  expect(series.interval).toBe(100);
  expect(series.gapsOf(series.column.slice().times)).toEqual([]);
  // A hole in what is live is one all the same.
  store.take({ type: 'points', time: 1, points: [[1, 99 * 9_000 + 40_000, 5]] });
  expect(series.gapsOf(series.column.slice().times)).toHaveLength(1);

  const fine = Array.from({ length: 90 }, (_, at) => [90_000 + at * 100, at] as [number, number]);
  store.refine(
    [{ name: 'load', labels: {}, kind: 'gauge', unit: '', points: fine }],
    90_000,
    98_999,
  );
  const { times, values, lows } = series.column.slice();
  expect(Array.from(times.subarray(9, 12))).toEqual([81_000, 90_000, 90_100]);
  expect(Array.from(values.subarray(9, 12))).toEqual([5, 0, 1]);
  expect(lows![9]).toBe(1);
  expect(lows![11]).toBe(1);
  expect(times[100]).toBe(99_000);
});

test('samples that waited for a server that hung don’t make their producer a fast one', () => {
  vi.useFakeTimers({ now: 100_000 });
  const store = new Store({ arranged: () => {}, changed: () => {} });
  store.take(hello('E'));
  const described = [{ ref: 1, name: 'load', labels: {}, kind: 'gauge' as const, unit: '' }];
  store.take({ type: 'points', series: described, points: [[1, 99_000, 5]] });
  const take = (samples: number): void => {
    vi.advanceTimersByTime(100);
    const now = Date.now();
    store.take({ type: 'points', time: now, points: [[1, now, 5, 1, 9, samples]] });
  };
  const times = (count: number, samples: number): void => {
    for (let at = 0; at < count; at += 1) {
      take(samples);
    }
  };
  times(60, 1);
  vi.advanceTimersByTime(5000);
  times(8, 200);
  times(20, 1);
  expect(store.find('load', {})!.density).toBe(1);
  // One that is fast all along is one.
  times(200, 5);
  expect(store.find('load', {})!.density).toBeGreaterThan(4);
  vi.useRealTimers();
});

describe('deltas of one time', () => {
  const described = [{ ref: 1, name: 'hits', labels: {}, kind: 'delta', unit: '' }] as const;
  const begin = (): Store => {
    const store = new Store({ arranged: () => {}, changed: () => {} });
    store.take(hello('E'));
    store.take({ type: 'points', series: described, points: [[1, 1000, 2]] });
    return store;
  };
  const held = (store: Store) => list(store.find('hits', {})!.column);

  test('of different batches add up, late ones too', () => {
    const store = begin();
    store.take({ type: 'points', time: 1, points: [[1, 1000, 3]] });
    store.take({ type: 'points', time: 1, points: [[1, 2000, 1]] });
    // Equal ones are two all the same; and some that were merged count for what they add up to.
    store.take({ type: 'points', time: 1, points: [[1, 1000, 3]] });
    store.take({ type: 'points', time: 1, points: [[1, 2000, 7, 3, 4, 2]] });
    expect(held(store)).toEqual([
      [1000, 8],
      [2000, 8],
    ]);
  });

  test('that are told again are not counted twice', () => {
    const store = begin();
    store.take({ type: 'points', time: 1, points: [[1, 1000, 3]] });
    store.expectRepeats();
    store.take(hello('F'));
    store.take({
      type: 'points',
      series: described,
      points: [
        [1, 1000, 2],
        [1, 1000, 3],
        [1, 1500, 4],
      ],
    });
    store.take({ type: 'points', time: 1, points: [[1, 1500, 1]] });
    expect(held(store)).toEqual([
      [1000, 5],
      [1500, 5],
    ]);
  });

  test('are one in an answer of the history', () => {
    const store = begin();
    const past = {
      ...described[0],
      points: [
        [500, 1],
        [500, 2],
        [1000, 9],
      ],
    } as const;
    store.backfill([past], 500);
    expect(held(store)).toEqual([
      [500, 3],
      [1000, 2],
    ]);
    store.refine([{ ...past, points: [...past.points, [1000, 1]] }], 0, 1000);
    expect(held(store)).toEqual([
      [500, 3],
      [1000, 10],
    ]);
  });
});

test('series that are not meant any more are forgotten, and may come again', () => {
  const arranged: string[][] = [];
  const store = new Store({
    arranged: (panels) => arranged.push(panels.map(({ name }) => name)),
    changed: () => {},
  });
  const describe = (ref: number, name: string) =>
    ({ ref, name, labels: {}, kind: 'gauge', unit: '' }) as const;
  const take = () =>
    store.take({
      type: 'points',
      series: [describe(1, 'a'), describe(2, 'b')],
      points: [
        [1, 1000, 1],
        [2, 1000, 2],
      ],
    });
  take();
  store.retain((name) => name === 'b');
  expect(arranged.at(-1)).toEqual(['b']);
  // Points that were on their way belong to no series any more.
  store.take({ type: 'points', points: [[1, 2000, 1]] });
  expect(store.find('a', {})).toBeUndefined();
  // And another tab's, of a stream that they share.
  take();
  expect(store.find('a', {})).toBeUndefined();
  store.meant = () => true;
  take();
  expect(arranged.at(-1)).toEqual(['a', 'b']);
});

describe('a column', () => {
  test('equals a sorted list of the newest, whatever is done to it', () => {
    // A generator of its own, so that a failure is the same the next time.
    let state = 7;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return state % below;
    };
    for (let round = 0; round < 12; round += 1) {
      const most = 1 + random(90);
      const column = new Column(most);
      let model: number[][] = [];
      let time = 1000;
      for (let step = 0; step < 400; step += 1) {
        time += random(5);
        const at = random(10) === 0 ? time - random(60) : time;
        if (random(40) === 0) {
          const before = time - random(200);
          column.trim(before);
          model = model.filter(([t]) => t! >= before);
        }
        const full = model.length >= most;
        const known = model.findIndex(([t]) => t === at);
        // For a while points are merged, and then they aren't.
        const [low, high] = step % 150 < 40 ? [step - 1, step + random(2)] : [step, step];
        const row = [at, step, low, high];
        if (known >= 0) {
          model[known] = row;
        } else if (full && at < model[0]![0]!) {
          continue;
        } else {
          model.push(row);
          model.sort(([a], [b]) => a! - b!);
          model = model.slice(-most);
        }
        column.put(at, step, low, high);
        const { times, values, lows, highs } = column.slice();
        expect(
          Array.from(times, (held, n) => [
            held,
            values[n],
            (lows ?? values)[n],
            (highs ?? values)[n],
          ]),
        ).toEqual(model);
      }
    }
  });

  test('keeps what merged points stand for, and makes no columns for it before', () => {
    const column = new Column(100);
    column.put(1, 10);
    expect(column.slice().lows).toBe(null);
    column.put(2, 20, 5, 25);
    column.put(3, 30);
    expect([...column.slice().lows!]).toEqual([10, 5, 30]);
    expect([...column.slice().highs!]).toEqual([10, 25, 30]);
  });

  test('takes no more than twice what it holds, once its window is full', () => {
    const column = new Column(36_000);
    const window = 9_600;
    // The past is thinned to merged points; what comes then is whole.
    for (let time = -window; time < 0; time += 24) {
      column.put(time, 1, 0, 2);
    }
    let most = 0;
    for (let time = 0; time < 20 * window; time += 1) {
      column.put(time, time);
      if (time % 50 === 0) {
        column.trim(time - window);
      }
      if (time > 2 * window) {
        const { times, values, lows, highs } = column.slice();
        const bytes = [times, values, lows, highs].map((one) => one?.buffer.byteLength ?? 0);
        most = Math.max(
          most,
          bytes.reduce((sum, size) => sum + size),
        );
      }
    }
    expect(column.length).toBeGreaterThanOrEqual(window);
    // Of two columns of eight bytes.
    expect(most).toBeLessThanOrEqual(2 * 2 * 8 * (window + 100));
    // And what is merged then is held as such.
    column.put(20 * window, 5, 4, 6);
    expect([column.slice().lows!.at(-1), column.slice().highs!.at(-1)]).toEqual([4, 6]);
  });
});

const described = (ref: number, changes: Partial<Description> = {}): Description => ({
  ref,
  name: 'm',
  labels: {},
  kind: 'gauge',
  unit: '',
  ...changes,
});
const series = (kind: Kind, points: readonly (readonly [number, number])[]): Series => {
  const made = new Series(described(1, { kind }));
  for (const [time, value] of points) {
    made.put(time, value);
  }
  return made;
};
const drawn = (one: Series): (number | null)[][] => {
  const { times, values, gaps } = lineOf(one, -Infinity, Infinity);
  return Array.from(times, (time, index) => [
    time,
    values[index]!,
    ...(gaps.includes(index) ? [null] : []),
  ]);
};

describe('lines', () => {
  test('a gauge is drawn as it is', () => {
    expect(
      drawn(
        series('gauge', [
          [0, 1],
          [1000, 3],
        ]),
      ),
    ).toEqual([
      [0, 1],
      [1000, 3],
    ]);
  });

  test('a counter is drawn per second, and counts from zero after a reset', () => {
    const counter = series('counter', [
      [0, 10],
      [1000, 14],
      [3000, 18],
      [4000, 5],
    ]);
    expect(drawn(counter)).toEqual([
      [1000, 4],
      [3000, 2],
      [4000, 5],
    ]);
    expect(latestOf(counter)).toBe(5);
    expect(latestOf(series('counter', [[0, 10]]))).toBeNaN();
  });

  test('what an expression gives is drawn as it is, also where that is a counter', () => {
    const description = { name: 'topk(1, x)', labels: {}, kind: 'counter', unit: '' } as const;
    const result = new Series({ ...description, expression: true });
    result.describe({ ...description, expression: true });
    result.put(0, 10);
    result.put(1000, 14);
    expect(drawn(result)).toEqual([
      [0, 10],
      [1000, 14],
    ]);
  });

  test('two samples that came all but together are no rate of their own', () => {
    const times = [0, 500, 1000, 1500, 1505, 2000, 2500];
    const counter = series(
      'counter',
      times.map((time, index) => [time, index * 0.5]),
    );
    // As many samples as in any half second, within 5 ms: 100 a second is what nothing was.
    for (const [, rate] of drawn(counter)) {
      expect(rate).toBeLessThanOrEqual(2.1);
    }
    expect(valueAt(counter, 1505)).toBeLessThanOrEqual(2.1);
    const young = series('counter', [
      [0, 0],
      [5, 1],
      [500, 1],
      [1000, 1],
    ]);
    for (const [, rate] of drawn(young)) {
      expect(rate).toBeLessThanOrEqual(2);
    }
  });

  test('a delta is drawn per second', () => {
    expect(
      drawn(
        series('delta', [
          [0, 1],
          [2000, 6],
        ]),
      ),
    ).toEqual([[2000, 3]]);
  });

  test('much longer than usual without a sample is a gap, and values there are unknown', () => {
    const one = series('gauge', [
      [0, 1],
      [1000, 2],
      [2000, 3],
      [9000, 4],
      [10_000, 5],
    ]);
    expect(drawn(one)).toEqual([
      [0, 1],
      [1000, 2],
      [2000, 3, null],
      [9000, 4],
      [10_000, 5],
    ]);
    expect(valueAt(one, 1500)).toBe(2);
    expect(valueAt(one, 5000)).toBeNaN();
    expect(valueAt(one, 9000)).toBe(4);
    expect(valueAt(one, -1)).toBeNaN();
    expect(valueAt(one, 10_500)).toBe(5);
    expect(valueAt(one, 60_000)).toBeNaN();
  });

  test('a break is a gap, however short', () => {
    const one = series('gauge', [
      [0, 1],
      [1000, 2],
    ]);
    one.break();
    one.put(1500, 3);
    expect(drawn(one)).toEqual([
      [0, 1],
      [1000, 2, null],
      [1500, 3],
    ]);
  });

  test('what is thinned has no gaps but where it is thinner still', () => {
    const one = series('gauge', [
      [100_000, 1],
      [101_000, 2],
    ]);
    one.backfill(
      [
        [0, 9],
        [12_000, 8],
        [90_000, 7],
        [100_000, 0],
      ],
      12_000,
    );
    expect(drawn(one)).toEqual([
      [0, 9],
      [12_000, 8, null],
      [90_000, 7],
      [100_000, 1],
      [101_000, 2],
    ]);
  });

  test('one point beyond each end is given, so that lines reach the edges', () => {
    const one = series('gauge', [
      [0, 0],
      [1000, 1],
      [2000, 2],
      [3000, 3],
      [4000, 4],
    ]);
    expect([...lineOf(one, 1500, 2500).times]).toEqual([1000, 2000, 3000]);
    const counter = series('counter', [
      [0, 0],
      [1000, 1],
      [2000, 2],
      [3000, 3],
      [4000, 4],
    ]);
    expect([...lineOf(counter, 1500, 2500).times]).toEqual([1000, 2000, 3000]);
  });
});

test('a state keeps its changes, in the order of their times', () => {
  const state = new Series(described(1, { kind: 'state' }));
  for (const [time, value] of [
    [10, 'a'],
    [20, 'a'],
    [30, null],
    [40, true],
    [25, 'b'],
  ] as const) {
    state.put(time, value);
  }
  expect(state.changes.map(({ time, value }) => [time, value])).toEqual([
    [10, 'a'],
    [25, 'b'],
    [30, null],
    [40, true],
  ]);
  expect(state.latest).toBe(true);
  state.trim(35);
  expect(state.changes.map(({ value }) => value)).toEqual([null, true]);
});

test('a line is broken where it ended, and goes on with the next point by time', () => {
  const one = series('gauge', [
    [1000, 1],
    [2000, 2],
  ]);
  one.end(2500);
  expect(one.ended).toBe(true);
  expect(one.isSilent(2600)).toBe(true);
  expect(valueAt(one, 2400)).toBe(2);
  expect(valueAt(one, 2600)).toBeNaN();
  one.put(3000, 3);
  expect(one.ended).toBe(false);
  expect(lineOf(one, 0, 4000).gaps).toEqual([1]);
  // One that is told late is as good.
  one.end(1500);
  expect(lineOf(one, 0, 4000).gaps).toEqual([0, 1]);
  const state = series('state', []);
  state.put(1000, true);
  state.end(2000);
  expect(state.changes).toEqual([
    { time: 1000, value: true },
    { time: 2000, value: null },
  ]);
});

test('silence is measured by what is usual', () => {
  vi.useFakeTimers({ now: 100_000 });
  const one = series('gauge', [
    [90_000, 1],
    [95_000, 2],
    [100_000, 3],
  ]);
  vi.setSystemTime(110_000);
  expect(one.isSilent(110_000)).toBe(false);
  vi.setSystemTime(111_000);
  expect(one.isSilent(111_000)).toBe(true);
  // Samples whose clock is wrong are samples all the same.
  one.put(40_000, 4);
  expect(one.isSilent(111_000)).toBe(false);
  vi.useRealTimers();
});

describe('the store', () => {
  let panels: readonly Panel[];
  let store: Store;
  beforeEach(() => {
    panels = [];
    store = new Store({
      arranged: (now) => {
        panels = now;
      },
      changed: () => {},
    });
  });
  const take = (...documents: Document[]): void => {
    for (const document of documents) {
      store.take(document);
    }
  };
  const hello = (epoch: string): Document => ({
    type: 'hello',
    epoch,
    session: 's',
    heartbeat: 15,
    granted: { max_hz: 10, merge: 'all', select: [] },
  });
  const points = (
    described: Description[],
    points: (readonly [number, number, number])[],
  ): Document => ({ type: 'points', id: 'E.1', series: described, points });
  const held = (labels = {}): number[][] => list(store.find('m', labels)!.column);

  test('knows a series again after a restart, by name and labels', () => {
    take(hello('A'), points([described(1, { labels: { x: 'a' } })], [[1, 1000, 1]]));
    take(
      hello('B'),
      { type: 'gap', id: 'B.1', lost: null },
      points(
        [described(1, { labels: { x: 'b' } }), described(2, { labels: { x: 'a' } })],
        [
          [1, 2000, 9],
          [2, 1000, 1],
          [2, 2000, 2],
        ],
      ),
    );
    expect(held({ x: 'a' })).toEqual([
      [1000, 1],
      [2000, 2],
    ]);
    expect(held({ x: 'b' })).toEqual([[2000, 9]]);
    expect(store.find('m', { x: 'a' })!.isGap(1000, 2000)).toBe(true);
    expect(panels.length).toBe(1);
  });

  test('forgets refs of another epoch', () => {
    take(hello('A'), points([described(1)], [[1, 1000, 1]]), hello('B'));
    take({ type: 'points', id: 'B.1', points: [[1, 2000, 2]] });
    expect(held()).toEqual([[1000, 1]]);
    expect(store.live).toBe(0);
  });

  test('lets a series go once it is gone and out of sight', () => {
    take(hello('A'), points([described(1)], [[1, 1000, 1]]));
    expect(store.live).toBe(1);
    take({ type: 'gone', id: 'A.2', refs: [1] });
    expect(store.live).toBe(0);
    store.trim(500);
    expect(panels.length).toBe(1);
    store.trim(1500);
    expect(panels.length).toBe(0);
    expect(store.find('m', {})).toBe(undefined);
  });

  test('calls a series silent whose past is old, though it came just now', () => {
    const now = Date.now();
    take(
      hello('A'),
      points(
        [described(1)],
        [
          [1, now - 90_000, 1],
          [1, now - 89_000, 2],
        ],
      ),
    );
    expect(store.find('m', {})!.isSilent(now)).toBe(true);
  });

  test('counts what merged points stand for', () => {
    take(hello('A'), points([described(1)], [[1, 1000, 1]]));
    take({ type: 'points', id: 'A.2', points: [[1, 2000, 2, 1, 3, 7]] });
    expect(store.samples).toBe(8);
  });

  test('groups by what fits one axis, and tells lines apart by what differs', () => {
    take(
      points(
        [
          described(1, { labels: { job: 'web', host: 'b10', pid: '7' } }),
          described(2, { labels: { job: 'web', host: 'b2' } }),
          described(3, { name: 'a', labels: { job: 'web' }, unit: 'bytes' }),
          described(4, { labels: { job: 'web' }, kind: 'state' }),
        ],
        [],
      ),
    );
    expect(panels.map(({ name, kind }) => [name, kind])).toEqual([
      ['a', 'gauge'],
      ['m', 'gauge'],
      ['m', 'state'],
    ]);
    expect(panels[1]!.common).toEqual({ job: 'web' });
    expect(panels[1]!.distinguishing).toEqual(['host', 'pid']);
    expect(panels[1]!.members.map(({ title }) => title)).toEqual(['b2 · –', 'b10 · 7']);
  });

  test('moves a series whose unit is corrected to the panel where it belongs', () => {
    take(points([described(1)], [[1, 1000, 1]]));
    take(points([described(1, { unit: 'bytes' })], []));
    expect(panels.map(({ unit }) => unit)).toEqual(['bytes']);
    expect(held()).toEqual([[1000, 1]]);
  });

  test('gives colours in the order of labels, and keeps them while lines come and go', () => {
    const of = (x: string, ref: number) => described(ref, { labels: { x } });
    const colours = () =>
      Object.fromEntries(panels[0]!.members.map(({ title, colour }) => [title, colour]));
    take(
      hello('A'),
      points(
        [of('c', 1), of('a', 2), of('b', 3)],
        [
          [1, 5000, 0],
          [2, 1, 0],
          [3, 5000, 0],
        ],
      ),
    );
    expect(colours()).toEqual({ a: 0, b: 1, c: 2 });
    take({ type: 'gone', id: 'A.2', refs: [2] });
    store.trim(1000);
    expect(colours()).toEqual({ b: 1, c: 2 });
    take(points([of('d', 4)], []));
    expect(colours()).toEqual({ b: 1, c: 2, d: 0 });
  });

  test('ranks many lines by value, those without samples last', () => {
    const many = Array.from({ length: 12 }, (_, ref) =>
      described(ref, { labels: { x: `${ref}` } }),
    );
    const now = Date.now();
    take(
      points(
        many,
        many.map(({ ref }) => [ref, now, ref % 5] as const),
      ),
    );
    take({ type: 'gone', id: 'A.2', refs: [4] });
    const order = rank(panels[0]!, now).map(({ title }) => Number(title));
    expect(order.slice(0, 1)).toEqual([9]);
    expect(order.at(-1)).toBe(4);
  });

  test('keeps an order until it is clearly wrong, and while somebody points at it', () => {
    const many = Array.from({ length: 12 }, (_, ref) =>
      described(ref, { labels: { x: `${ref}` } }),
    );
    const now = Date.now();
    const publish = (at: number, value: (ref: number) => number): void =>
      take(
        points(
          [],
          many.map(({ ref }) => [ref, at, value(ref)] as const),
        ),
      );
    const order = (at: number): number[] => rank(panels[0]!, at).map(({ title }) => Number(title));
    take(
      points(
        many,
        many.map(({ ref }) => [ref, now, 100 - ref] as const),
      ),
    );
    const first = order(now);
    // Near values change places: nothing moves.
    publish(now + 6000, (ref) => 100 + ref / 2);
    expect(order(now + 6000)).toEqual(first);
    const panel = panels[0]!;
    const climb = (ref: number): number => (ref === 11 ? 1000 : 100);
    holdOrder(panel, true);
    publish(now + 12_000, climb);
    expect(order(now + 12_000)).toEqual(first);
    holdOrder(panel, false);
    expect(order(now + 12_000)[0]).toBe(11);
  });

  test('ranks anew when values come that were not there, and where small steps add up', () => {
    const many = Array.from({ length: 12 }, (_, ref) =>
      described(ref, { labels: { x: `${ref}` } }),
    );
    const now = Date.now();
    const order = (at: number): number[] => rank(panels[0]!, at).map(({ title }) => Number(title));
    const down = [...Array(12).keys()].reverse();
    // Described all at once, and given their values one frame after the other.
    take(points(many, [[0, now, 0]]));
    expect(order(now)[0]).toBe(0);
    take(
      points(
        [],
        many.slice(1).map(({ ref }) => [ref, now, ref] as const),
      ),
    );
    expect(order(now)).toEqual(down);
    // Each is near its neighbour, and the last far above the first.
    for (const later of [6000, 12_000, 18_000]) {
      take(
        points(
          [],
          many.map(({ ref }) => [ref, now + later, 100 - 5 * ref] as const),
        ),
      );
      order(now + later);
    }
    expect(order(now + 18_000)[0]).toBeLessThan(3);
    expect(order(now + 18_000).at(-1)).toBeGreaterThan(8);
  });

  test('takes older points from a history, and leaves those that it has', () => {
    take(
      points(
        [described(1)],
        [
          [1, 5000, 5],
          [1, 6000, 6],
        ],
      ),
    );
    store.backfill(
      [
        {
          ...described(9),
          points: [
            [1000, 1],
            [3000, 3],
            [5000, 0],
          ],
        },
      ],
      2000,
    );
    expect(held()).toEqual([
      [1000, 1],
      [3000, 3],
      [5000, 5],
      [6000, 6],
    ]);
  });
});
