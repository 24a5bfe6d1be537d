import { describe, expect, test } from 'vitest';
import { traceOf } from '../../src/chart/trace.ts';
import type { Line } from '../../src/store/rate.ts';

function line(points: readonly (readonly [number, number])[], gaps: number[] = []): Line {
  return {
    times: Float64Array.from(points, ([time]) => time),
    values: Float64Array.from(points, ([, value]) => value),
    lows: null,
    highs: null,
    gaps,
  };
}

const rows = ({ lows, highs }: { lows: Float64Array; highs: Float64Array }) =>
  Array.from(lows, (low, column) => [low, highs[column]!]);

describe('a trace', () => {
  test('has the lowest and highest that a line passes in each column', () => {
    // Up from 0 to 10 within the first two of four columns, and down to 5 in the other two.
    const trace = traceOf(line([[0, 0], [20, 10], [40, 5]]), 0, 40, 4); // biome-ignore format: points
    expect(rows(trace)).toEqual([[0, 5], [5, 10], [7.5, 10], [5, 7.5]]); // biome-ignore format: rows
  });

  test('is empty where there is no line', () => {
    const trace = traceOf(line([[10, 1], [12, 3], [32, 2]], [1]), 0, 40, 4); // biome-ignore format: points
    expect(rows(trace)).toEqual([
      [Number.NaN, Number.NaN],
      [1, 3],
      [Number.NaN, Number.NaN],
      [2, 2],
    ]);
    expect(
      rows(traceOf(line([]), 0, 40, 2))
        .flat()
        .every(Number.isNaN),
    ).toBe(true);
  });

  test('reaches the edges where the line goes on beyond them', () => {
    const trace = traceOf(line([[-20, 0], [60, 80]]), 0, 40, 2); // biome-ignore format: points
    expect(rows(trace)).toEqual([[20, 40], [40, 60]]); // biome-ignore format: rows
    expect(rows(traceOf(line([[-30, 1], [-20, 2]]), 0, 40, 1)).flat()).toEqual([NaN, NaN]); // biome-ignore format: points
    expect(rows(traceOf(line([[50, 1], [60, 2]]), 0, 40, 1)).flat()).toEqual([NaN, NaN]); // biome-ignore format: points
  });

  test('keeps both ends of a gap within one column', () => {
    const trace = traceOf(line([[1, 5], [2, 6], [7, 1], [8, 2]], [1]), 0, 10, 1); // biome-ignore format: points
    expect(rows(trace)).toEqual([[1, 6]]);
  });

  test('has a band where points stand for several samples', () => {
    const merged = {
      ...line([[5, 5], [15, 6]]), // biome-ignore format: points
      lows: Float64Array.of(2, 4),
      highs: Float64Array.of(8, 10),
    };
    const { floor, ceiling } = traceOf(merged, 0, 20, 2);
    expect([...floor!]).toEqual([2, 3]);
    expect([...ceiling!]).toEqual([9, 10]);
  });

  test('agrees with the line, whatever its points', () => {
    let seed = 7;
    const random = (): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    for (let round = 0; round < 200; round += 1) {
      const points: [number, number][] = [];
      const gaps: number[] = [];
      let time = -20 * random();
      while (time < 130) {
        points.push([time, random() * 100]);
        if (random() < 0.1) {
          gaps.push(points.length - 1);
        }
        time += 0.1 + random() * (random() < 0.2 ? 40 : 3);
      }
      const columns = 1 + Math.floor(random() * 60);
      const trace = rows(traceOf(line(points, gaps), 0, 100, columns));
      const walked = walk(points, new Set(gaps), columns);
      for (const [column, [low, high]] of trace.entries()) {
        const [least, most] = walked[column]!;
        expect(Number.isNaN(low)).toBe(Number.isNaN(least));
        if (!Number.isNaN(least)) {
          expect(low).toBeCloseTo(least, 6);
          expect(high).toBeCloseTo(most, 6);
        }
      }
    }
  });
});

/** The same as `traceOf` from 0 to 100, piece by piece of the line, and slowly. */
function walk(
  points: readonly [number, number][],
  gaps: ReadonlySet<number>,
  columns: number,
): [number, number][] {
  const width = 100 / columns;
  return Array.from({ length: columns }, (_, column) => {
    const from = column * width;
    const to = from + width;
    const passed: number[] = [];
    for (const [index, [time, value]] of points.entries()) {
      if (time >= from && time < to) {
        passed.push(value);
      }
      const [next, there] = points[index + 1] ?? [Number.NaN, Number.NaN];
      if (!gaps.has(index) && next > from && time < to) {
        const at = (x: number): number => value + ((there - value) * (x - time)) / (next - time);
        passed.push(at(Math.max(from, time)), at(Math.min(to, next)));
      }
    }
    return passed.length === 0
      ? [Number.NaN, Number.NaN]
      : [Math.min(...passed), Math.max(...passed)];
  });
}
