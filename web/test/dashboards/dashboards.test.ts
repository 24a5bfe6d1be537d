import { expect, test } from 'vitest';
import { read as readSelector } from '../../src/client/protocol/selector.ts';
import { read, write } from '../../src/dashboards/address.ts';
import { selectorsOf } from '../../src/dashboards/asking.ts';
import { fillPanels, meaningsOf, type Values } from '../../src/dashboards/filling.ts';
import { unplaced, unread } from '../../src/dashboards/unread.ts';

const NOW = Date.parse('2026-11-28T08:10:00Z');

test('an address says what is shown, and is read as it is written', () => {
  const at = (text: string) => {
    const { pathname, search } = new URL(text, 'http://test');
    return read({ pathname, search }, NOW);
  };
  const usual = {
    panel: null,
    kiosk: false,
    edit: false,
    window: null,
    held: null,
    theme: null,
    search: '',
    lines: new Map(),
    values: {},
    wrong: [],
  };
  expect(at('/')).toEqual({ ...usual, name: null });
  expect(at('/d/node-1?window=5m&var-host=a%26b&var-host=c&kiosk')).toEqual({
    ...usual,
    name: 'node-1',
    kiosk: true,
    window: 300_000,
    values: { host: ['a&b', 'c'] },
  });
  expect(at('/d/node?edit')).toMatchObject({ kiosk: false, edit: true });
  expect(at('/d/node?panel=cpu')).toMatchObject({ panel: 'cpu', kiosk: true });
  expect(at('/?at=2026-11-28T08:00:00Z').held).toEqual({ to: NOW - 600_000, span: null });
  expect(at('/?from=1795852200000&to=2026-11-28T09:00:00.500%2B01:00').held).toEqual({
    to: NOW - 599_500,
    span: 600_500,
  });
  expect(at('/?q=cpu+host%3Da&theme=dark')).toMatchObject({ search: 'cpu host=a', theme: 'dark' });
  expect(at('/?hide-cpu=a{b="c"}&hide-cpu=d&only-up+gauge+=up').lines).toEqual(
    new Map([
      ['cpu', { only: false, names: new Set(['a{b="c"}', 'd']) }],
      ['up gauge ', { only: true, names: new Set(['up']) }],
    ]),
  );
  // Relative to where the page has its root, which may be under any path.
  for (const root of ['https://host/', 'https://host/under/a/path/', 'https://host/d/']) {
    for (const text of [
      '',
      'd/node-1?window=5m&var-host=a%26b&var-host=c',
      'd/node?panel=cpu',
      'd/node?edit=',
      './?at=2026-11-28T08:00:00.125Z',
      './?window=1h&from=2026-11-28T07:59:00Z&to=2026-11-28T08:00:00Z&theme=light',
      './?q=a+b&hide-up+gauge+=up%7Bhost%3D%22a%22,job%3D%22b:c%22%7D&only-x=y',
    ]) {
      const { href, pathname, search } = new URL(text, root);
      expect(new URL(write(read({ pathname, search }, NOW)), root).href).toBe(href);
    }
  }
});

const MEANS_NOTHING = 'the address means nothing to this page.';

test.each([
  ['window=banana', 'window=banana in the address is not a span from 5s to 6h, such as 15m.'],
  ['window=7h', 'window=7h in the address is not a span from 5s to 6h, such as 15m.'],
  ['window=', 'window= in the address is not a span from 5s to 6h, such as 15m.'],
  ['theme=blue', 'theme=blue in the address is not system, light or dark.'],
  ['at=noon', 'at=noon in the address is not a moment such as 2026-01-31T08:00:00Z.'],
  ['at=2026-11-28', 'at=2026-11-28 in the address is not a moment such as 2026-01-31T08:00:00Z.'],
  ['from=2026-11-28T08:00:00Z', 'A range in the address takes both from and to.'],
  [
    'from=2026-11-28T08:00:00Z&to=2026-11-28T07:00:00Z',
    'from and to in the address are not from 5 seconds to 6 hours apart.',
  ],
  ['at=2027-01-01T00:00:00Z', 'What the address shows is still to come: this is live instead.'],
  [
    'at=2026-11-28T02:00:00Z',
    'What the address shows is longer ago than the 6 hours that can be shown: this is live instead.',
  ],
  ['hide-=a', 'hide-=a in the address names no line, or contradicts another.'],
  ['hide-a=b&only-a=c', 'only-a=c in the address names no line, or contradicts another.'],
])('of %s in an address it is said what is wrong, and the usual is shown', (search, reason) => {
  const { wrong, window, held, theme } = read({ pathname: '/', search: `?${search}` }, NOW);
  expect(wrong).toEqual([reason]);
  expect([window, held, theme]).toEqual([null, null, null]);
});

test.each([
  ['window=5m&theme=dark&q=a&hide-a=b&hide-a=c&only-d=e&var-x=1&var-x=2', []],
  ['kiosk', []],
  ['kiosk=1&edit=true', []],
  ['windw=5m', ['windw in the address means nothing to this page.']],
  ['a=1&a=2&var-', [`a in ${MEANS_NOTHING}`, `var- in ${MEANS_NOTHING}`]],
  ['window=5m&window=1h', ['window is in the address more than once: window=5m counts.']],
  ['kiosk&kiosk', ['kiosk is in the address more than once: once is enough.']],
  [
    'kiosk=banana',
    ['kiosk=banana in the address has a value, and takes none: it counts as kiosk.'],
  ],
  ['panel=a&edit', ['edit in the address doesn’t go with panel: the panel is shown.']],
  [
    'at=2026-11-28T08:00:00Z&from=2026-11-28T08:00:00Z',
    ['The address has both at, and from and to: the range counts.'],
  ],
  // Of these it is said where they are read.
  ['window=banana&hide-=a', []],
])('of %s in an address it is said what is passed over', (search, reasons) => {
  expect(unread(`?${search}`, 'one')).toEqual(reasons);
});

test('values of variables, and lines of panels that there aren’t, are passed over aloud', () => {
  expect(unread('?var-x=1&edit', null)).toEqual([
    'var-x in the address is for dashboards: this is none.',
    'edit in the address is for dashboards: this is none.',
  ]);
  expect(unplaced('?hide-a=x&hide-b=x&hide-b=y&only-c=z&window=5m', ['a'])).toEqual([
    'hide-b in the address is of no panel that is here now.',
    'only-c in the address is of no panel that is here now.',
  ]);
});

test('a dashboard asks for the series of the panels that are shown', () => {
  const panel = (id: string, select: string) => ({ id, kind: 'line', select }) as const;
  const kept = {
    title: 'T',
    variables: [{ name: 'ns', label: 'ns', select: 'up' }],
    panels: [
      { ...panel('a', 'up{ns="$ns"}'), also: [{ select: 'sum(up)' }] },
      panel('b', 'load'),
      panel('c', ' load '),
      panel('d', '{'),
      { id: 'e', kind: 'text', text: 'words' } as const,
    ],
  };
  const asked = (values: Values) => selectorsOf(fillPanels(kept, meaningsOf(kept, values, 60_000)));
  expect(asked({})).toEqual(['sum(up)', 'load']);
  expect(asked({ ns: ['x'] })).toEqual(['up{ns="x"}', 'sum(up)', 'load']);
  // None of them would mean all of them.
  const [nothing] = selectorsOf([])!;
  expect(readSelector(nothing!)!('nothing', {})).toBe(false);
  const many = (select: (at: number) => string) =>
    selectorsOf(Array.from({ length: 40 }, (_, at) => panel(`${at}`, select(at))));
  expect(many((at) => `m${at % 2}{host="${at}"}`)).toEqual(['{__name__=~"m0|m1"}']);
  expect(many((at) => `{host="${at}"}`)).toBeNull();
  expect(many((at) => `rate(m${at}[1m])`)).toBeNull();
});
