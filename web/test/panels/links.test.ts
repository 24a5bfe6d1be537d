import { expect, test } from 'vitest';
import { fillUrl, meaningsOf } from '../../src/dashboards/filling.ts';
import { leadsOf } from '../../src/panels/links.ts';
import { partsOf, ringPath, sharesAt } from '../../src/panels/shares.ts';
import { Panel } from '../../src/store/panel.ts';
import { Series } from '../../src/store/series.ts';

const BASE = 'https://here.example/base/';
const FILLED = {
  labels: { host: 'a b/c', bad: 'javascript:x' },
  name: 'one',
  value: 1.5,
  from: 10,
  to: 20.2,
};
const href = (url: string) => leadsOf([{ title: 'x', url }], FILLED, BASE)[0]?.href;

test('labels, the value and the time are text within an address', () => {
  expect(href('https://a/{{host}}?v={{__value}}&n={{__name}}')).toBe(
    'https://a/a%20b%2Fc?v=1.5&n=one',
  );
  expect(href('d/other?from={{__from}}&to={{ __to }}&x={{none}}')).toBe(
    `${BASE}d/other?from=10&to=20&x=`,
  );
  const [lead] = leadsOf([{ title: '{{host}} there', url: 'http://b' }], FILLED, BASE);
  expect(lead).toEqual({ title: 'a b/c there', href: 'http://b/', away: true });
  expect(leadsOf([{ title: 'x', url: '?a' }], FILLED, BASE)[0]!.away).toBe(false);
});

test('what leads to no page is no link', () => {
  for (const url of [
    'javascript:alert(1)',
    ' java\tscript:alert(1)',
    'data:text/html,x',
    'https://',
  ]) {
    expect(href(url), url).toBeUndefined();
  }
  // A label can't make it one.
  expect(href('{{bad}}')).toBe(`${BASE}javascript%3Ax`);
});

test('variables are text within an address, of several as many parameters', () => {
  const variables = [
    { name: 'host', values: ['a&b', 'c'], multi: true },
    { name: 'job', label: 'job', all: true, default: ['$__all'] },
  ];
  const meanings = meaningsOf({ variables }, { host: ['a&b', 'c'] }, 1000);
  expect(fillUrl('d/x?var-host=$host&var-job=$job#y', meanings)).toBe(
    'd/x?var-host=a%26b&var-host=c&var-job=%24__all#y',
  );
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a dashboard has it so.
  expect(fillUrl('/p/${host}/$other', meanings)).toBe('/p/a%26b,c/$other');
});

test('parts are of what is above zero, from the top', () => {
  expect(partsOf([3, 1, -4, 0])).toEqual([
    { from: 0, to: 0.75 },
    { from: 0.75, to: 1 },
    { from: 1, to: 1 },
    { from: 1, to: 1 },
  ]);
  expect(partsOf([0, 0])).toEqual([
    { from: 0, to: 0 },
    { from: 0, to: 0 },
  ]);
  expect(ringPath(0, 0.25, 5, 10)).toBe(
    'M0.000 -10.000A10 10 0 0 1 10.000 0.000L5.000 0.000A5 5 0 0 0 0.000 -5.000Z',
  );
  // One alone is a whole ring.
  expect(ringPath(0, 1, 5, 10)).toContain('A10 10 0 1 1');
});

test('newest values are in order, highest first', () => {
  const all = [2, 7, Number.NaN].map((value, at) => {
    const series = new Series({
      ref: at,
      name: 'x',
      labels: { at: `${at}` },
      kind: 'gauge',
      unit: '',
    });
    if (!Number.isNaN(value)) {
      series.put(1000, value);
    }
    return series;
  });
  const panel = new Panel(all[0]!);
  for (const one of all) {
    panel.add(one);
  }
  panel.arrange();
  expect(sharesAt(panel, 1000).map(({ value }) => value)).toEqual([7, 2]);
});
