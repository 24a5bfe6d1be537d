/** Curves that are taken bit by bit are those that are taken at once. */

import { expect, test } from 'vitest';
import { Curves } from '../../src/chart/curves.ts';
import type { Drawn } from '../../src/chart/picture.ts';
import { Series } from '../../src/store/series.ts';

const COLUMNS = 100;
const SPAN = 100_000;

function seriesOf(kind: 'gauge' | 'counter' = 'gauge'): Series {
  return new Series({ ref: 1, name: 'm', labels: {}, kind, unit: '' });
}

function drawnOf(...all: readonly Series[]): Drawn[] {
  return all.map((series, colour) => ({
    series,
    title: '',
    colour,
    faded: false,
    headed: true,
    raw: false,
  }));
}

/** Points twice a second up to a time. */
function grow(series: Series, from: number, to: number): void {
  for (let time = from; time < to; time += 500) {
    const value = series.kind === 'counter' ? time : Math.sin(time / 3_000) * 10;
    series.put(time, value, value - 1, value + 1, false);
  }
}

test('nothing has to be painted where nothing has come, and all where there is nothing yet', () => {
  const series = seriesOf();
  grow(series, 0, 90_000);
  const curves = new Curves(false, []);
  expect(curves.extend(drawnOf(series), 0, SPAN, COLUMNS, 1)).toBe(null);
  curves.take(drawnOf(series), 0, SPAN, COLUMNS);
  expect(curves.extend(drawnOf(series), 0, SPAN, COLUMNS, 1)).toBe(COLUMNS);
});

test.each(['gauge', 'counter'] as const)('a %s goes on as if it were taken at once', (kind) => {
  const [series, idle] = [seriesOf(kind), seriesOf(kind)];
  grow(series, 0, 80_000);
  grow(idle, 0, 60_000);
  const drawn = drawnOf(series, idle);
  const [curves, whole] = [new Curves(false, []), new Curves(false, [])];
  curves.take(drawn, 0, SPAN, COLUMNS);
  let before = COLUMNS;
  for (let time = 80_000; time < 90_000; time += 500) {
    grow(series, time, time + 500);
    const first = curves.extend(drawn, 0, SPAN, COLUMNS, 1)!;
    // The column of the newest point before, and the room of its mark.
    expect(first).toBe(Math.floor((time - 500) / 1000) - 4);
    whole.take(drawn, 0, SPAN, COLUMNS);
    expect(curves.reach()).toEqual(whole.reach());
    before = first;
  }
  expect(before).toBe(85);
});

test.each<[string, (series: Series, drawn: Drawn[]) => Drawn[]]>([
  ['a point that was late', (series, drawn) => (series.put(1_200, 5), drawn)],
  ['a finer past', (series, drawn) => (series.refine(0, 5_000, [[100, 1]]), drawn)],
  ['an end', (series, drawn) => (series.end(90_000), drawn)],
  ['another line', (_, drawn) => [...drawn, ...drawnOf(seriesOf())]],
  ['a line that is looked at', (_, drawn) => drawn.map((one) => ({ ...one, faded: true }))],
])('%s has all taken again', (_, change) => {
  const series = seriesOf();
  grow(series, 0, 90_000);
  const drawn = drawnOf(series);
  const curves = new Curves(false, []);
  curves.take(drawn, 0, SPAN, COLUMNS);
  const changed = change(series, drawn);
  grow(series, 90_000, 91_000);
  expect(curves.extend(changed, 0, SPAN, COLUMNS, 1)).toBe(null);
});

test('a picture that has moved, or lines with few points, are taken again', () => {
  const [series, sparse] = [seriesOf(), seriesOf()];
  grow(series, 0, 90_000);
  grow(sparse, 88_000, 90_000);
  const curves = new Curves(false, []);
  curves.take(drawnOf(series), 0, SPAN, COLUMNS);
  expect(curves.extend(drawnOf(series), 1000, SPAN + 1000, COLUMNS, 1)).toBe(null);
  expect(curves.extend(drawnOf(series), 0, SPAN, COLUMNS + 1, 1)).toBe(null);
  curves.take(drawnOf(sparse), 0, SPAN, COLUMNS);
  grow(sparse, 90_000, 91_000);
  expect(curves.extend(drawnOf(sparse), 0, SPAN, COLUMNS, 1)).toBe(null);
});
