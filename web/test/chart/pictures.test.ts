import { expect, test } from 'vitest';
import { bucketsOf } from '../../src/chart/heat.ts';
import { pile } from '../../src/chart/stack.ts';
import { csvOf } from '../../src/panels/csv.ts';
import { Panel } from '../../src/store/panel.ts';
import { rankAt } from '../../src/store/ranking.ts';
import { Series } from '../../src/store/series.ts';

const { NaN: none } = Number;
const trace = (...values: number[]) => ({
  lows: Float64Array.from(values),
  highs: Float64Array.from(values),
  floor: null,
  ceiling: null,
});

test('areas stand one upon the other, and what is below zero hangs from it', () => {
  const layers = pile([
    Float64Array.from([1, 2, none]),
    Float64Array.from([3, none, none]),
    Float64Array.from([-1, 4, none]),
  ]);
  expect(layers.map(({ bottoms, tops }) => [[...bottoms], [...tops]])).toEqual([
    [
      [0, 0, none],
      [1, 2, none],
    ],
    [
      [1, none, none],
      [4, none, none],
    ],
    [
      [0, 2, none],
      [-1, 6, none],
    ],
  ]);
  expect(pile([])).toEqual([]);
});

test('buckets of a histogram are what falls between their bounds, of all lines together', () => {
  const rows = bucketsOf([
    { name: '+Inf', trace: trace(10, 20) },
    { name: '0.5', trace: trace(4, 5) },
    { name: '10', trace: trace(9, 20) },
    { name: '0.5', trace: trace(1, none) },
  ]);
  expect(rows.map(({ name, values }) => [name, ...values])).toEqual([
    ['+Inf', 1, 0],
    ['10', 4, 15],
    ['0.5', 5, 5],
  ]);
});

function panelOf(...members: readonly (readonly [string, [number, number][]])[]): Panel {
  const series = members.map(([room, points]) => {
    const one = new Series({
      ref: 1,
      name: 'room "temperature"',
      labels: { room },
      kind: 'gauge',
      unit: '',
    });
    for (const [time, value] of points) {
      one.put(time, value);
    }
    return one;
  });
  const panel = new Panel(series[0]!);
  for (const one of series) {
    panel.add(one);
  }
  panel.arrange();
  return panel;
}

test('text that a spreadsheet would run as a formula is text in CSV; numbers stay numbers', () => {
  const evil = new Series({
    ref: 1,
    name: 'x',
    labels: { host: '=HYPERLINK("http://a")', b: '@SUM(A1)', c: '+1', d: '-1', e: '\t=1' },
    kind: 'gauge',
    unit: '',
  });
  evil.put(1000, -5);
  const panel = new Panel(evil);
  panel.add(evil);
  panel.arrange();
  const [head, row] = csvOf(panel, panel.members, 500, 1500).split('\r\n');
  expect(head).toBe('time,metric,b,c,d,e,host,value');
  expect(row).toBe(
    `1970-01-01T00:00:01.000Z,x,"'@SUM(A1)","'+1","'-1","'\t=1","'=HYPERLINK(""http://a"")",-5`,
  );
});

test('points as CSV: a column for each label, quotes where they are due, the window alone', () => {
  const panel = panelOf(
    [
      'a,b',
      [
        [0, 1],
        [1000, 2],
      ],
    ],
    ['c', [[1000, 3]]],
  );
  expect(csvOf(panel, panel.members, 500, 1500).split('\r\n')).toEqual([
    'time,metric,room,value',
    '1970-01-01T00:00:01.000Z,"room ""temperature""","a,b",2',
    '1970-01-01T00:00:01.000Z,"room ""temperature""",c,3',
    '',
  ]);
  panel.members[0]!.series.put(1400, 5, 4, 6);
  expect(csvOf(panel, panel.members, 1100, 1500).split('\r\n').slice(0, 2)).toEqual([
    'time,metric,room,value,min,max',
    '1970-01-01T00:00:01.400Z,"room ""temperature""","a,b",5,4,6',
  ]);
});

test('values at a time, the highest first, and only of those that have one', () => {
  const panel = panelOf(['a', [[1000, 1]]], ['b', [[1000, 7]]], ['c', [[5000, 9]]]);
  expect(rankAt(panel, 1500).map(({ member, value }) => [member.title, value])).toEqual([
    ['b', 7],
    ['a', 1],
  ]);
});
