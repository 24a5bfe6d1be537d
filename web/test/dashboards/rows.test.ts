import { expect, test } from 'vitest';
import { fillPanels, meaningsOf, singlesOf, within } from '../../src/dashboards/filling.ts';
import { MOST_REPEATED, repeated } from '../../src/dashboards/repeating.ts';
import { sectionsOf, unfolded } from '../../src/dashboards/rows.ts';
import type { Panel } from '../../src/panels/model.ts';

function at(id: string, x: number, y: number, w = 6, h = 4, more: Partial<Panel> = {}): Panel {
  return { id, kind: 'line', select: 'up{host="$host"}', grid: { x, y, w, h }, ...more };
}

const row = (id: string, y: number, more: Partial<Panel> = {}): Panel => ({
  id,
  kind: 'row',
  title: id,
  grid: { x: 0, y, w: 12, h: 1 },
  ...more,
});

const PANELS = [
  at('a', 0, 0),
  row('r', 4),
  at('b', 0, 5),
  at('c', 6, 5, 6, 2),
  row('s', 9),
  at('d', 0, 10),
];
const places = (panels: readonly Panel[]) =>
  panels.map(({ id, grid }) => `${id} ${grid?.x},${grid?.y},${grid?.w}`);

test('a row has the panels up to the next one', () => {
  const sections = sectionsOf(PANELS).map(({ row: one, panels }) => [
    one?.id,
    ...panels.map(({ id }) => id),
  ]);
  expect(sections).toEqual([
    [undefined, 'a'],
    ['r', 'b', 'c'],
    ['s', 'd'],
  ]);
});

test('where a row is folded, what is below it moves up', () => {
  const folding = (...ids: string[]) => unfolded(PANELS, ({ id }) => ids.includes(id));
  expect(folding()).toEqual(PANELS);
  expect(places(folding('r'))).toEqual(['a 0,0,6', 'r 0,4,12', 's 0,5,12', 'd 0,6,6']);
  expect(places(folding('r', 's'))).toEqual(['a 0,0,6', 'r 0,4,12', 's 0,5,12']);
  const unplaced = [row('r', 0), { id: 'x', kind: 'line', select: 'x' } as const];
  expect(places(unfolded(unplaced, () => true))).toEqual(['r 0,0,12']);
});

test('a panel is there once for each value, beside each other or below', () => {
  const panels = [at('a', 0, 0, 6, 2, { repeat: 'host', across: 2 }), at('z', 0, 2, 12, 1)];
  const values = (name: string) => (name === 'host' ? ['x', 'y', 'z'] : undefined);
  const { shown, left } = repeated(panels, values);
  expect(left).toBe(0);
  expect(places(shown.map(({ panel }) => panel))).toEqual([
    'a:x 0,0,6',
    'a:y 6,0,6',
    'a:z 0,2,6',
    'z 0,4,12',
  ]);
  expect(shown.map(({ scope }) => scope)).toEqual([
    { host: 'x' },
    { host: 'y' },
    { host: 'z' },
    {},
  ]);
  const down = repeated([at('a', 3, 0, 5, 2, { repeat: 'host', across: 1 })], values).shown;
  expect(places(down.map(({ panel }) => panel))).toEqual(['a:x 3,0,5', 'a:y 3,2,5', 'a:z 3,4,5']);
  // While the values aren't known it is there once.
  const open = repeated(panels, () => undefined).shown;
  expect(places(open.map(({ panel }) => panel))).toEqual(['a 0,0,6', 'z 0,2,12']);
});

test('a row is there with its panels for each value, and in them it has that value alone', () => {
  const panels = [row('r', 0, { repeat: 'host', title: 'On $host' }), at('b', 0, 1), at('c', 6, 1)];
  const { shown } = repeated(panels, () => ['x', 'y']);
  expect(places(shown.map(({ panel }) => panel))).toEqual([
    'r:x 0,0,12',
    'b:x 0,1,6',
    'c:x 6,1,6',
    'r:y 0,5,12',
    'b:y 0,6,6',
    'c:y 6,6,6',
  ]);
  const variables = [{ name: 'host', values: ['x', 'y'], multi: true, all: true }];
  const values = { host: ['$__all'] };
  const meanings = meaningsOf({ variables }, values, 1);
  const [first, one] = shown.flatMap(({ panel, scope }) =>
    fillPanels({ panels: [panel], variables }, within(meanings, scope)),
  );
  expect([first!.title, one!.select]).toEqual(['On x', 'up{host="x"}']);
  expect(singlesOf(variables[0]!, values, {})).toEqual(['x', 'y']);
  expect(singlesOf({ name: 'h', label: 'h' }, { h: ['$__all'] }, { h: ['q'] })).toEqual(['q']);
});

test('copies are bounded, and it is told how many are left out', () => {
  const many = Array.from({ length: 80 }, (_, index) => `${index}`);
  const one = repeated([at('a', 0, 0, 6, 2, { repeat: 'host' })], () => many);
  expect([one.shown.length, one.left]).toEqual([MOST_REPEATED, 30]);
  const several = Array.from({ length: 8 }, (_, index) =>
    at(`p${index}`, 0, index * 2, 6, 2, { repeat: 'host' }),
  );
  const all = repeated(several, () => many.slice(0, 50));
  expect([all.shown.length, all.left]).toEqual([250, 150]);
});
