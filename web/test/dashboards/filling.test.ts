import { expect, test } from 'vitest';
import { read } from '../../src/client/protocol/selector.ts';
import {
  ALL,
  fillIn,
  fillPanels,
  fillText,
  meaningsOf,
  type Values,
} from '../../src/dashboards/filling.ts';
import { checked, soughtBy } from '../../src/dashboards/values.ts';

const KEPT = {
  title: 'T',
  variables: [
    { name: 'host', label: 'host', select: 'up', multi: true, all: true },
    { name: 'job', label: 'job', select: 'up', all: true, all_value: '.*' },
    { name: 'span', values: ['1m', '5m'], default: ['5m'] },
    { name: 'mode', values: ['a.b', 'c'], multi: true, all: true },
  ],
  panels: [],
};

const fill = (text: string, values: Values = {}, windowMs = 900_000): string =>
  fillIn(text, meaningsOf(KEPT, values, windowMs));

test.each([
  // One value is text, wherever it stands.
  ['up{a="$host"}', ['x.y'], 'up{a="x.y"}'],
  ['up{a="${host}:9100"}', ['x'], 'up{a="x:9100"}'],
  ['up{a=~"$host"}', ['x.y'], 'up{a=~"x\\\\.y"}'],
  ['up{a=~"$host:.*"}', ['x.y'], 'up{a=~"x\\\\.y:.*"}'],
  ["up{a='$host'}", ['it"s'], 'up{a="it\\"s"}'],
  ['up{a=`$host`}', ['\\'], 'up{a="\\\\"}'],
  // Of several any: a matcher for one becomes one for several.
  ['up{a="$host"}', ['x', 'y'], 'up{a=~"x|y"}'],
  ['up{a!="$host"}', ['x', 'y.z'], 'up{a!~"x|y\\\\.z"}'],
  ['up{a="$host.lan:9100"}', ['x', 'y'], 'up{a=~"(?:x|y)\\\\.lan:9100"}'],
  ['up{a=~"$host:.*"}', ['x', 'y'], 'up{a=~"(?:x|y):.*"}'],
  ['up{a=~"b|$host"}', ['x', 'y'], 'up{a=~"b|(?:x|y)"}'],
  // All is whatever there is, also what comes later.
  ['up{a="$host"}', [ALL], 'up{a=~".+"}'],
  ['up{a!~"$host"}', [ALL], 'up{a!~".+"}'],
  ['up{a=~"$host:9100"}', [ALL], 'up{a=~".+:9100"}'],
  // Outside of quotes it is what it says.
  ['sum by ($host) (up)', ['x', 'y'], 'sum by (x, y) (up)'],
  ['rate($host[1m])', ['x'], 'rate(x[1m])'],
  // Others stay as they are.
  ['label_replace(a, "b", "$1", "c", "(.*)$")', ['x'], 'label_replace(a, "b", "$1", "c", "(.*)$")'],
  ['label_replace(a, "b", "$host", "c", "")', ['x'], 'label_replace(a, "b", "x", "c", "")'],
  ['up{a="$other",b="$hostname"}', ['x'], 'up{a="$other",b="$hostname"}'],
])('%s with %j is %s', (text, host, filled) => {
  expect(fill(text, { host })).toBe(filled);
});

test('what all stands for can be said, or are the values of a list', () => {
  expect(fill('up{a="$job",b="$mode"}', { job: [ALL], mode: [ALL] })).toBe(
    'up{a=~".*",b=~"a\\\\.b|c"}',
  );
});

test('what is filled in matches the values, and nothing else', () => {
  const values = ['a', 'b.c', '"', '\\', '(', 'x|y', '$host', '^', 'ä ö', '*', '[a]', '{2}'];
  for (const wanted of [values, ...values.map((value) => [value])]) {
    for (const operator of ['=', '=~']) {
      const matches = read(fill(`up{a${operator}"$host"}`, { host: wanted }))!;
      for (const value of [...values, 'bxc', 'aa', '']) {
        expect([operator, value, matches('up', { a: value })]).toEqual([
          operator,
          value,
          wanted.includes(value),
        ]);
      }
    }
  }
});

test('a default holds until something is chosen', () => {
  expect(fill('rate(a[$span])')).toBe('rate(a[5m])');
  expect(fill('rate(a[$span])', { span: ['1m'] })).toBe('rate(a[1m])');
  expect(fill('a{b="$mode"}')).toBe('a{b="a.b"}');
  expect(fill('a{b="$host"}')).toBe('a{b="$host"}');
});

test.each([
  [900_000, undefined, '15s', '60s', '900s'],
  [6 * 3_600_000, undefined, '20s', '60s', '21600s'],
  [5_000, '1s', '1s', '4s', '5s'],
  // To the nearest step, as Grafana rounds for a chart of 1,000 points.
  [1_400_000, '1s', '1s', '4s', '1400s'],
  [1_500_000, '1s', '2s', '4s', '1500s'],
  [6 * 3_600_000, '1s', '20s', '21s', '21600s'],
  [6 * 3_600_000, '10s', '20s', '40s', '21600s'],
  [900_000, '1m30s', '90s', '360s', '900s'],
])('of %d ms with %s between samples', (windowMs, interval, step, rate, range) => {
  const meanings = meaningsOf({ ...(interval && { interval }) }, {}, windowMs);
  expect(fillIn('$__interval $__rate_interval ${__range}', meanings)).toBe(
    `${step} ${rate} ${range}`,
  );
  const ms = (text: string): string => text.replace(/s$/, '000');
  expect(fillIn('$__interval_ms ${__rate_interval_ms} $__range_ms', meanings)).toBe(
    `${ms(step)} ${ms(rate)} ${ms(range)}`,
  );
});

test('titles, texts and names of lines say what is chosen', () => {
  const kept = {
    ...KEPT,
    panels: [
      {
        id: 'a',
        kind: 'line',
        title: 'Load of $host',
        select: 'load{host="$host"}',
        legend: '{{host}} of $job',
        also: [{ select: 'sum(load)', legend: '$host' }],
      } as const,
      { id: 'b', kind: 'text', text: 'On ${host}, $$5' } as const,
    ],
  };
  const meanings = meaningsOf(kept, { host: ['x', 'y'], job: [ALL] }, 60_000);
  expect(fillPanels(kept, meanings)).toEqual([
    {
      id: 'a',
      kind: 'line',
      title: 'Load of x + y',
      select: 'load{host=~"x|y"}',
      legend: '{{host}} of All',
      also: [{ select: 'sum(load)', legend: 'x + y' }],
    },
    { id: 'b', kind: 'text', text: 'On x + y, $$5' },
  ]);
  expect(fillText('$nothing', meanings)).toBe('$nothing');
});

test('of a chain each is asked for once those before it have values', () => {
  const chain = [
    { name: 'site', label: 'site', select: 'up' },
    { name: 'host', label: 'host', select: 'up{site="$site"}', multi: true, all: true },
    { name: 'disk', label: 'disk', select: 'io{host="$host",site="$site",span="$__interval"}' },
  ];
  const names = new Set(chain.map(({ name }) => name));
  const sought = (values: Values) =>
    chain.map((one) => soughtBy(one, meaningsOf({ variables: chain }, values, 60_000), names));
  expect(sought({})).toEqual(['up', null, null]);
  expect(sought({ site: ['a'] })).toEqual(['up', 'up{site="a"}', null]);
  expect(sought({ site: ['a'], host: [ALL] })[2]).toBe('io{host=~".+",site="a",span="15s"}');
  expect(sought({ site: ['a'], host: ['x', 'y.z'] })[2]).toBe(
    'io{host=~"x|y\\\\.z",site="a",span="15s"}',
  );
});

test('of values in an address it is said which can’t be chosen', () => {
  const { variables } = KEPT;
  expect(checked({ host: ['x', 'y'], span: ['1m'] }, variables)).toEqual({
    values: { host: ['x', 'y'], span: ['1m'] },
    wrong: [],
  });
  expect(checked({ host: ['x', ALL], job: ['a', 'b'] }, variables)).toEqual({
    values: { host: [ALL], job: ['a'] },
    wrong: ['var-job is in the address more than once: a counts.'],
  });
  expect(checked({ span: ['2m'], mode: ['c', 'd'], other: ['x'] }, variables)).toEqual({
    values: { mode: ['c'], other: ['x'] },
    wrong: [
      'var-span=2m in the address is none of its values: it has 1m, 5m.',
      'var-mode=d in the address is none of its values: it has a.b, c.',
      'var-other in the address is of no variable of this dashboard.',
    ],
  });
  expect(checked({ span: [ALL] }, variables).wrong).toEqual([
    'var-span=$__all in the address is none of its values: it takes one value at a time.',
  ]);
});
