import { describe, expect, test } from 'vitest';
import { extentOf } from '../../src/chart/extent.ts';
import { multiples, roundStep, timeLabels, timeSplits } from '../../src/chart/splits.ts';
import { printable } from '../../src/format/printable.ts';
import { formatAge, formatMoments, formatSpan } from '../../src/format/time.ts';
import { formatOf } from '../../src/format/units.ts';

const plain = (text: string): string => text.replaceAll('\u202f', ' ');

test.each<[string, boolean, number, string]>([
  ['bytes', false, 0, '0 B'],
  ['bytes', false, 1536, '1.50 KiB'],
  ['bytes', false, 78.7 * 2 ** 30, '78.7 GiB'],
  ['bytes', true, 2 ** 20, '1.00 MiB/s'],
  ['bytes_per_second', false, 512, '512 B/s'],
  ['per_second', false, 1234, '1.23 k/s'],
  ['By', false, 1024, '1.00 KiB'],
  ['seconds', false, 0.000_25, '250 µs'],
  ['seconds', false, 0.0183, '18.3 ms'],
  ['seconds', false, 5, '5 s'],
  ['seconds', false, 90, '1.50 min'],
  ['seconds', false, 7200, '2.00 h'],
  ['seconds', false, 200_000, '2.31 d'],
  ['seconds', true, 0.5, '50 %'],
  ['ms', false, 1500, '1.50 s'],
  ['ratio', false, 0.123, '12.3 %'],
  ['ratio', false, 1, '100 %'],
  ['percent', false, 99.5, '99.5 %'],
  ['celsius', false, 21.5, '21.5 °C'],
  ['hertz', false, 2.4e9, '2.40 GHz'],
  ['volts', false, 0.005, '5.00 mV'],
  ['', false, 37, '37'],
  ['', false, 0.26, '0.26'],
  ['', false, 0.0026, '0.0026'],
  ['', false, 1_234_567, '1.23 M'],
  ['', false, 999_950, '1.00 M'],
  ['', true, 4200, '4.20 k/s'],
  ['', false, -4200, '-4.20 k'],
  ['requests', false, 3, '3 requests'],
  ['requests', true, 3, '3 requests/s'],
  ['1', false, 3, '3'],
  ['', false, Number.NaN, '–'],
  ['', false, Number.POSITIVE_INFINITY, '–'],
])('%s (rate: %s) %f is written %s', (unit, rate, value, text) => {
  expect(plain(formatOf(unit, rate).value(value))).toBe(text);
});

test('labels of an axis share prefix and decimals', () => {
  const ticks = (unit: string, values: number[]): string[] =>
    formatOf(unit).ticks(values).map(plain);
  expect(ticks('', [0, 500, 1000, 1500])).toEqual(['0', '0.5 k', '1.0 k', '1.5 k']);
  expect(ticks('bytes', [0, 2 ** 29, 2 ** 30])).toEqual(['0', '0.5 GiB', '1.0 GiB']);
  expect(ticks('ratio', [0, 0.25, 0.5, 0.75, 1])).toEqual(['0', '25 %', '50 %', '75 %', '100 %']);
  expect(ticks('seconds', [0, 0.05, 0.1])).toEqual(['0', '50 ms', '100 ms']);
});

test('ages are of one unit', () => {
  expect([0, 59_000, 61_000, 3_700_000, 1e9].map(formatAge).map(plain)).toEqual([
    '0 s',
    '59 s',
    '1 min',
    '1 h',
    '11 d',
  ]);
});

describe('the grid', () => {
  test('steps are round', () => {
    expect(roundStep(10, 4, 10)).toBe(5);
    expect(roundStep(0.7, 4, 10)).toBeCloseTo(0.2);
    expect(roundStep(3 * 2 ** 30, 4, 1024, 3 * 2 ** 30)).toBe(2 ** 30);
    expect(roundStep(2 ** 28, 4, 1024, 80 * 2 ** 30)).toBeCloseTo(0.1 * 2 ** 30);
  });

  test('multiples carry no error along', () => {
    expect(multiples(0, 1, 0.1).length).toBe(11);
    expect(multiples(0, 1, 0.1)[3]).toBeCloseTo(0.3, 15);
    expect(multiples(-10, 10, 5)).toEqual([-10, -5, 0, 5, 10]);
  });

  test('times are round, and have seconds only where these differ', () => {
    const noon = new Date(2026, 5, 1, 12, 0, 0).getTime();
    expect(timeLabels(timeSplits(noon, noon + 900_000, 4))).toEqual([
      '12:00',
      '12:05',
      '12:10',
      '12:15',
    ]);
    expect(timeLabels(timeSplits(noon, noon + 60_000, 4))).toEqual(
      ['12:00:00', '12:00:15', '12:00:30', '12:00:45', '12:01:00'].slice(
        0,
        timeSplits(noon, noon + 60_000, 4).length,
      ),
    );
  });
});

describe('the y-axis', () => {
  const none = { base: 10, bounds: null } as const;
  const share = { base: 10, bounds: [0, 1] } as const;

  test('begins at zero unless values are far from it', () => {
    expect(extentOf(20, 90, none, null).min).toBe(0);
    expect(extentOf(80, 90, none, null).min).toBeGreaterThan(70);
    expect(extentOf(-90, -20, none, null).max).toBe(0);
    expect(extentOf(-40, 35, none, null)).toMatchObject({ min: -40, max: 40 });
  });

  test('spans what a unit has by nature', () => {
    expect(extentOf(0.1, 0.7, share, null)).toMatchObject({ min: 0, max: 1 });
    expect(extentOf(0.01, 0.04, share, null).max).toBeLessThan(0.1);
    expect(extentOf(0.1, 1.7, share, null).max).toBeGreaterThanOrEqual(1.7);
  });

  test('grows at once, and shrinks only when much of it is idle', () => {
    const first = extentOf(0, 90, none, null);
    expect(extentOf(0, 60, none, first)).toBe(first);
    expect(extentOf(0, 130, none, first).max).toBeGreaterThanOrEqual(130);
    expect(extentOf(0, 20, none, first).max).toBeLessThan(50);
  });

  test('shows a flat line in the middle, and nothing as an empty axis', () => {
    const { min, max } = extentOf(50, 50, none, null);
    expect(min).toBeLessThan(50);
    expect(max).toBeGreaterThan(50);
    expect(extentOf(0, 0, none, null)).toMatchObject({ min: 0 });
    expect(extentOf(Number.NaN, Number.NaN, none, null)).toEqual({ min: 0, max: 1, step: 0.25 });
  });

  test('of moments is one of a clock, near those that there are', () => {
    const moments = formatOf('timestamp_seconds');
    const noon = Date.UTC(2023, 10, 14, 12) / 1000;
    for (const [low, high, step] of [
      [noon + 7, noon + 7, 60],
      [noon, noon + 900, 300],
      [noon - 5 * 3600, noon, 7200],
      [noon - 9 * 86_400, noon, 5 * 86_400],
    ] as const) {
      const extent = extentOf(low, high, moments, null);
      expect(extent.step).toBe(step);
      expect(extent.min).toBeLessThanOrEqual(low);
      expect(extent.max).toBeGreaterThanOrEqual(high);
      expect(extent.max - extent.min).toBeLessThan(Math.max(high - low, 200) + 2 * step);
      // It stays while values do.
      expect(extentOf(low, high, moments, extent)).toBe(extent);
      expect(multiples(extent.min, extent.max, step).every((one) => one % step === 0)).toBe(true);
    }
  });

  test('always holds the values', () => {
    for (const [low, high] of [
      [1e-9, 3e-9],
      [5, 5.0001],
      [-3, 1e6],
      [1e15, 1.2e15],
      [-7, -6.9],
    ]) {
      for (const base of [10, 1024] as const) {
        const { min, max, step } = extentOf(low!, high!, { base, bounds: null }, null);
        expect(min).toBeLessThanOrEqual(low! + step * 1e-6);
        expect(max).toBeGreaterThanOrEqual(high! - step * 1e-6);
        expect((max - min) / step).toBeLessThanOrEqual(8);
      }
    }
  });
});

test('moments beside an axis have as much of the date as it takes', () => {
  const at = (...[month, day, hour]: [number, number, number]) =>
    new Date(2026, month, day, hour, 5, 10).getTime();
  const now = at(10, 28, 18);
  expect(formatMoments([at(10, 28, 9), at(10, 28, 12)], now)).toEqual(['09:05:10', '12:05:10']);
  const minute = at(10, 28, 9) - 10_000;
  expect(formatMoments([minute, minute + 60_000], now)).toEqual(['09:05', '09:06']);
  expect(formatMoments([at(10, 27, 23), at(10, 28, 1)], now)).toEqual([
    '27 Nov 23:05:10',
    '01:05:10',
  ]);
  expect(formatMoments([at(9, 1, 0), at(10, 1, 0)], now)).toEqual(['1 Oct 2026', '1 Nov 2026']);
});

test('a span of time is written as it is read', () => {
  expect([5_000, 90_000, 3_600_000, 5_400_000, 3_725_000].map(formatSpan)).toEqual([
    '5s',
    '1m30s',
    '1h',
    '1h30m',
    '1h2m5s',
  ]);
});

test('text of strangers is shown with whatever would show it otherwise escaped', () => {
  expect(printable('a\u202eb\u0007\u0085\ud800c')).toBe('a\\u202eb\\u0007\\u0085\\ud800c');
  expect(printable('Größe 😀 温度 שלום')).toBe('Größe 😀 温度 שלום');
});
