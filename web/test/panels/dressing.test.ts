import { expect, test } from 'vitest';
import { withoutQuery } from '../../src/editor/fields/lines.tsx';
import { ownOf } from '../../src/panels/dressing.ts';
import { select } from '../../src/panels/gathering.ts';
import { Panel } from '../../src/store/panel.ts';
import { Series } from '../../src/store/series.ts';

function panelOf(name: string, unit: string, ...hosts: string[]): Panel {
  const all = hosts.map(
    (host) => new Series({ ref: 1, name, labels: { host }, kind: 'gauge', unit }),
  );
  const panel = new Panel(all[0]!);
  for (const one of all) {
    panel.add(one);
  }
  panel.arrange();
  return panel;
}

const PANELS = [panelOf('mem', 'bytes', 'a', 'b'), panelOf('share', 'ratio', 'a')];
const ASKED = {
  select: 'mem',
  legend: '{{host}}',
  also: [{ select: 'share', legend: 'share of {{host}}' }],
};

test('lines have a name, a unit and a colour of their own', () => {
  const lines = [
    { query: 2, unit: 'percent', decimals: 1 },
    { name: 'a', title: 'Host {{host}}' },
    { regex: '^b|^share', colour: '#ffff00' },
  ];
  const group = select(PANELS, { ...ASKED, lines })!;
  // What has a unit of its own shares the axis.
  expect(group.omitted.size).toBe(0);
  const told = group.members.map(({ title, format, colour }) => [
    title,
    format?.value(5),
    typeof colour === 'function' ? colour(['#fff']) : colour,
  ]);
  expect(told).toEqual([
    ['Host a', undefined, 0],
    ['b', undefined, expect.stringMatching(/^#[0-9a-f]{6}$/)],
    ['share of a', '5.0\u202f%', expect.stringMatching(/^#[0-9a-f]{6}$/)],
  ]);
  expect(select(PANELS, { ...ASKED, lines }, group)).toBe(group);
  const other = select(PANELS, { ...ASKED, lines: [{ query: 2, unit: 'ratio' }] }, group)!;
  expect(other).not.toBe(group);
});

test('of several the last one counts, for each property', () => {
  const lines = [
    { regex: 'a', title: 'x', unit: 'bytes' },
    { name: 'aa', title: 'y' },
  ];
  expect(ownOf(lines, 'aa', 1)).toMatchObject({ title: 'y', unit: 'bytes' });
  expect(ownOf(lines, 'ab', 1)).toMatchObject({ title: 'x' });
  expect(ownOf(lines, 'b', 1)).toEqual({});
});

test('where a selector is removed, lines of others keep theirs', () => {
  const lines = [{ query: 1 }, { query: 2 }, { query: 3 }, { name: 'a' }];
  expect(withoutQuery(lines, 2)).toEqual([{ query: 1 }, { query: 2 }, { name: 'a' }]);
});
