import { expect, test } from 'vitest';
import { sharesOf } from '../../src/chart/stack.ts';
import { bandsOf } from '../../src/chart/styled/bands.ts';
import { logarithms, Styled, steps } from '../../src/chart/styled/styled.ts';
import { formatOf } from '../../src/format/units.ts';
import { reached } from '../../src/panels/model.ts';

const line = (times: number[], values: number[], gaps: number[] = []) => ({
  times: Float64Array.from(times),
  values: Float64Array.from(values),
  lows: null,
  highs: null,
  gaps,
});

test('a step holds until the next point, and not over a gap', () => {
  const made = steps(line([0, 10, 50], [1, 2, 3], [1]));
  expect([...made.times]).toEqual([0, 9.99, 10, 50]);
  expect([...made.values]).toEqual([1, 1, 2, 3]);
  expect(made.gaps).toEqual([2]);
});

test('logarithms leave out what isn’t above zero', () => {
  const made = logarithms(line([0, 1, 2, 3, 4], [10, 0, 100, 1000, 1], [3]));
  expect([...made.times]).toEqual([0, 2, 3, 4]);
  expect([...made.values]).toEqual([1, 2, 3, 0]);
  expect(made.gaps).toEqual([0, 2]);
});

test('a logarithmic axis has whole decades, written as the values are', () => {
  const styled = new Styled({ filled: false, log: true });
  const format = styled.scaled(formatOf('bytes'));
  expect(styled.extent(-2.5, 1.2, format, null)).toEqual({ min: -3, max: 2, step: 1 });
  expect(styled.extent(3, 3, format, null)).toEqual({ min: 3, max: 4, step: 1 });
  expect(styled.extent(0, 14, format, null).step).toBe(3);
  expect(format.ticks([0, 1])).toEqual(['1\u202fB', '10\u202fB']);
  const begun = new Styled({ filled: false, log: true, min: 1 });
  expect(begun.extent(1.5, 2.5, format, null)).toMatchObject({ min: 0, max: 3 });
});

test('an axis ends where it is said to, unless values go on', () => {
  const styled = new Styled({ filled: false, min: 50 });
  expect(styled.extent(80, 90, formatOf(''), null).min).toBe(50);
  expect(styled.extent(-20, 90, formatOf(''), null).min).toBeLessThanOrEqual(-20);
  const both = new Styled({ filled: false, style: 'bars', min: 0, max: 1000 });
  expect(both.extent(3, 9, formatOf(''), null)).toMatchObject({ min: 0, max: 1000 });
});

test('a stack of shares is 100 % wherever there is something', () => {
  const shares = sharesOf([Float64Array.of(1, 0, 5, Number.NaN), Float64Array.of(3, 0, -5, 2)]);
  expect(shares.map((one) => [...one])).toEqual([
    [25, 0, 50, Number.NaN],
    [75, 0, -50, 100],
  ]);
});

const BOTH = [
  { at: 80, level: 'warning' },
  { at: 95, level: 'critical' },
  { at: 10, level: 'warning', below: true },
  { at: 2, level: 'critical', below: true },
] as const;

test('thresholds hold from a value on, or below it', () => {
  const levels = [1, 2, 9, 10, 50, 80, 94, 95].map((value) => reached(BOTH, value)?.level);
  const [warning, critical] = ['warning', 'critical'];
  expect(levels).toEqual([
    critical,
    warning,
    warning,
    undefined,
    undefined,
    warning,
    warning,
    critical,
  ]);
  expect(bandsOf(BOTH, 0, 90)).toEqual([
    { level: 'warning', from: 80, to: 90 },
    { level: 'warning', from: 2, to: 10 },
    { level: 'critical', from: 0, to: 2 },
  ]);
});
