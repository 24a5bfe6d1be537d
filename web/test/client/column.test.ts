/** Columns against a plain list that is sorted each time. */

import { describe, expect, test } from 'vitest';
import { Column } from '../../src/client/data/column.ts';

type Row = [time: number, value: number, low: number, high: number, count: number];

function rows(column: Column): Row[] {
  const { times, values, envelope } = column;
  return Array.from(times, (time, at) => {
    const value = values[at] as number;
    return envelope === null
      ? [time, value, value, value, 1]
      : [time, value, envelope[0][at]!, envelope[1][at]!, envelope[2][at]!];
  });
}

/** The same numbers each time. */
function* dice(seed: number): Generator<number> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    yield state / 2 ** 32;
  }
}

test.each([1, 2, 3, 4, 5, 6])(
  'holds what was put, in order, whatever the order was (%i)',
  (seed) => {
    const random = dice(seed);
    const next = (most: number): number => Math.floor((random.next().value as number) * most);
    const most = 5 + next(200);
    const column = new Column(most, true);
    let expected: Row[] = [];
    let time = 0;
    for (let step = 0; step < 2000; step += 1) {
      const late = next(10) === 0;
      time += next(5);
      const at = late ? Math.max(0, time - next(50)) : time;
      const count = seed % 2 === 0 && next(3) === 0 ? 4 : 1;
      const value = next(1000);
      const row: Row =
        count === 1 ? [at, value, value, value, 1] : [at, value, value - 1, value + 1, 4];
      // Full: the oldest goes before the new one comes.
      if (expected.length === most) {
        expected.shift();
      }
      const place = expected.findLastIndex(([other]) => other <= at) + 1;
      expected.splice(place, 0, row);
      column.put(...row);
      if (next(50) === 0) {
        const before = time - next(100);
        expected = expected.filter(([other]) => other >= before);
        column.trim(before);
      }
      if (step % 50 === 0) {
        expect(rows(column)).toEqual(expected);
        expect(column.length).toBe(expected.length);
      }
    }
    expect(rows(column)).toEqual(expected);
  },
);

describe('memory', () => {
  test('stays what is held needs, for weeks of samples', () => {
    const column = new Column(50_000, true);
    for (let second = 0; second < 14 * 86_400; second += 10) {
      column.put(second * 1000, second, second, second, 1);
      if (second % 600 === 0) {
        column.trim(second * 1000 - 900_000);
      }
    }
    expect(column.length).toBeLessThan(200);
    expect(column.times.buffer.byteLength).toBeLessThan(8 * 1024);
  });

  test('is given back after a burst', () => {
    const column = new Column(50_000, true);
    for (let n = 0; n < 50_000; n += 1) {
      column.put(n, n, n, n, 1);
    }
    expect(column.times.buffer.byteLength).toBeGreaterThan(400_000);
    column.trim(49_990);
    expect(column.times.buffer.byteLength).toBeLessThan(1000);
    expect(Array.from(column.times)).toEqual(Array.from({ length: 10 }, (_, n) => 49_990 + n));
  });
});

test('knows a point again, and what was merged otherwise', () => {
  const column = new Column(10, true);
  column.put(1, 1, 1, 1, 1);
  column.put(1, 2, 2, 2, 1);
  column.put(3, 3, 3, 3, 1);
  expect(column.repeats(1, 2, 2, 2, 1)).toBe(true);
  expect(column.repeats(1, 1, 1, 1, 1)).toBe(true);
  expect(column.repeats(1, 3, 3, 3, 1)).toBe(false); // another sample of that moment
  expect(column.repeats(2, 0, 0, 0, 1)).toBe(false);
  expect(column.repeats(3, 5, 4, 6, 2)).toBe(true);
  expect(rows(column)).toEqual([
    [1, 1, 1, 1, 1],
    [1, 2, 2, 2, 1],
    [3, 5, 4, 6, 2],
  ]);
});

test('holds states, which are no numbers', () => {
  const column = new Column(4, false);
  for (const [time, value] of [
    [1, 'up'],
    [4, null],
    [2, true],
    [5, 'down'],
    [6, 7],
  ] as const) {
    column.put(time, value, Number.NaN, Number.NaN, 1);
  }
  expect(column.values).toEqual([true, null, 'down', 7]);
  column.trim(6);
  expect(column.values).toEqual([7]);
  expect([column.firstTime, column.lastTime, column.lastValue]).toEqual([6, 6, 7]);
});
