import { expect, test } from 'vitest';
import { contrast, inkOn, legible, READ, SEEN } from '../../src/chart/legible.ts';
import { DARK, LIGHT } from '../../src/chart/palette.ts';
import { formatOf } from '../../src/format/units.ts';
import { mapped, meantBy, patternOf } from '../../src/panels/mapping.ts';
import { changesIn, segments, writtenState } from '../../src/panels/states.ts';

const UP = [
  { value: 1, text: 'up', colour: '#00aa00' },
  { value: 'idle', text: 'Idle' },
  { value: 'true', text: 'yes' },
  { regex: '^err(.*)', text: 'Error$1' },
  { min: 10, max: 20, text: 'some' },
  { min: 20, colour: '#ff0000' },
  { special: 'none', text: 'nothing' },
] as const;

test('a value is shown as the first mapping that it meets says', () => {
  const told = (value: unknown) => meantBy(UP, value)?.text;
  expect([1, 1.5, 'idle', true, false].map(told)).toEqual([
    'up',
    undefined,
    'Idle',
    'yes',
    undefined,
  ]);
  expect(['err 7', 'no err'].map(told)).toEqual(['Error 7', undefined]);
  expect([9.9, 10, 20, 21].map(told)).toEqual([undefined, 'some', 'some', undefined]);
  expect(meantBy(UP, 21)).toEqual({ colour: '#ff0000' });
  expect([null, undefined, Number.NaN, Number.POSITIVE_INFINITY].map(told)).toEqual(
    Array(4).fill('nothing'),
  );
  expect(meantBy(undefined, 1)).toBeNull();
  // A range is none of texts, and no text is a number.
  expect(['12', '1'].map(told)).toEqual([undefined, undefined]);
});

test('patterns that may take long are none', () => {
  for (const pattern of ['(a+)+$', 'a*a*a*a*', '(', 'a**']) {
    expect(patternOf(pattern), pattern).toBeNull();
  }
  for (const pattern of ['^(?:a|b)c*', '[*+]{2}\\+\\+a*', '(?i)^ok']) {
    expect(patternOf(pattern), pattern).toBeInstanceOf(RegExp);
  }
  expect(patternOf('(?i)^ok')!.test('OKAY')).toBe(true);
});

test('values and the labels of an axis are written as they are mapped', () => {
  const format = mapped(formatOf('bytes'), UP, (colour) => `${colour}!`);
  expect([1, 2048, 15, Number.NaN].map(format.value)).toEqual([
    'up',
    '2.00\u202fKiB',
    'some',
    'nothing',
  ]);
  expect(format.meant!(1)).toEqual({ text: 'up', colour: '#00aa00!' });
  expect(format.ticks([0, 1, 15])).toEqual(['0', 'up', '15\u202fB']);
  expect(['idle', null, 1, '', 'x'].map((one) => writtenState(one, format))).toEqual([
    'Idle',
    'nothing',
    'up',
    '(empty)',
    'x',
  ]);
});

test('numbers are states where they are written otherwise than before', () => {
  const format = mapped(formatOf(''), [{ min: 0, max: 5, text: 'low' }], String);
  const times = Float64Array.of(0, 10, 20, 30, 100, 110);
  const values = Float64Array.of(1, 2, 7, 7, 7, 3);
  const changes = changesIn({ times, values, gaps: [3] }, format, 15);
  expect(changes).toEqual([
    { time: 0, value: 1 },
    { time: 20, value: 7 },
    { time: 45, value: Number.NaN },
    { time: 100, value: 7 },
    { time: 110, value: 3 },
  ]);
  expect(segments(changes, 30, 105)).toEqual([
    { start: 20, end: 45, value: 7 },
    { start: 45, end: 100, value: Number.NaN },
    { start: 100, end: 110, value: 7 },
  ]);
});

test('any colour can be told from the ground, and read on it', () => {
  const channels = (colour: string) =>
    [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)) as unknown as Parameters<
      typeof contrast
    >[0];
  for (const colour of ['#ffff00', '#000000', '#ffffff', '#73bf69', '#0000ff', '#808080']) {
    for (const ratio of [SEEN, READ]) {
      const light = legible(colour, LIGHT.lines, ratio);
      expect(contrast(channels(light), [255, 255, 255]), light).toBeGreaterThan(ratio - 0.1);
      const dark = legible(colour, DARK.lines, ratio);
      expect(contrast(channels(dark), [0x15, 0x1b, 0x22]), dark).toBeGreaterThan(ratio - 0.1);
    }
    expect(contrast(channels(colour), channels(inkOn(colour)))).toBeGreaterThan(READ);
  }
  expect(legible('#0f87d2', LIGHT.lines, SEEN)).toBe('#0f87d2');
});
