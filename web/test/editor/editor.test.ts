import { afterEach, describe, expect, test, vi } from 'vitest';
import { inReadingOrder } from '../../src/dashboards/place.ts';
import { addTo, addToNew } from '../../src/editor/model/adding.ts';
import { Draft } from '../../src/editor/model/draft.ts';
import { nameOf } from '../../src/editor/model/keeping.ts';
import {
  COLUMNS,
  exchange,
  overlap,
  type Placed,
  put,
  settle,
  step,
} from '../../src/editor/model/layout.ts';
import { read } from '../../src/editor/model/reading.ts';

const panel = (id: string, ...[x, y, w, h]: number[]): Placed => ({
  id,
  kind: 'line',
  select: id,
  grid: { x: x!, y: y!, w: w!, h: h! },
});

function places(panels: readonly Placed[]): Record<string, number[]> {
  return Object.fromEntries(
    panels.map(({ id, grid: { x, y, w, h } }) => [id, [x, y, w, h]] as const),
  );
}

/** That nothing overlaps, reaches out of the grid, or could go further up. */
function expectSound(panels: readonly Placed[]): void {
  for (const [index, one] of panels.entries()) {
    const { x, y, w, h } = one.grid;
    expect(x >= 0 && y >= 0 && x + w <= COLUMNS && w >= 2 && h >= 2).toBe(true);
    for (const other of panels.slice(index + 1)) {
      expect(overlap(one.grid, other.grid), `${one.id} and ${other.id}`).toBe(false);
    }
    const higher = { ...one.grid, y: y - 1 };
    const held = panels.some((other) => other !== one && overlap(other.grid, higher));
    expect(y === 0 || held, `${one.id} floats`).toBe(true);
  }
}

describe('the layout', () => {
  test('has neighbours change places in the order they are read in', () => {
    const rows = [panel('a', 0, 0, 6, 4), panel('b', 6, 0, 6, 4), panel('c', 0, 4, 12, 3)];
    const order = (panels: readonly Placed[]) =>
      inReadingOrder(panels)
        .map(({ id }) => id)
        .join('');
    // Of one size they change places, and nothing else is touched.
    expect(places(exchange(rows, 'a', 1))).toEqual({
      a: [6, 0, 6, 4],
      b: [0, 0, 6, 4],
      c: [0, 4, 12, 3],
    });
    const down = exchange(exchange(rows, 'a', 1), 'a', 1);
    expectSound(down);
    expect(order(down)).toBe('bca');
    expect(order(exchange(down, 'a', -1))).toBe('bac');
    expect(exchange(rows, 'a', -1)).toEqual(rows);
    expect(exchange(rows, 'c', 1)).toEqual(rows);
    expect(order(exchange(rows, 'c', -1))).toBe('acb');
  });

  test('places what nobody has placed where there is room', () => {
    const { grid: _, ...loose } = panel('c', 0, 0, 1, 1);
    const settled = settle([panel('a', 0, 0, 8, 4), panel('b', 0, 9, 12, 3), loose]);
    expectSound(settled);
    expect(places(settled)).toEqual({ a: [0, 0, 8, 4], b: [0, 4, 12, 3], c: [0, 7, 6, 4] });
  });

  test('a panel that is moved down goes below what it reaches, and what is in its way gives way', () => {
    const panels = [panel('a', 0, 0, 6, 4), panel('b', 0, 4, 6, 4), panel('c', 6, 0, 6, 8)];
    expect(places(step(panels, 'a', 0, 1))).toEqual({
      a: [0, 4, 6, 4],
      b: [0, 0, 6, 4],
      c: [6, 0, 6, 8],
    });
    expect(places(step(panels, 'b', 0, -1))).toMatchObject({ a: [0, 4, 6, 4], b: [0, 0, 6, 4] });
    expect(places(step(panels, 'a', 0, -1))).toEqual(places(panels));
    // Beside it there is no room.
    expect(places(put(panels, 'a', { x: 4, y: 0, w: 6, h: 4 }))).toEqual({
      a: [4, 0, 6, 4],
      b: [0, 4, 6, 4],
      c: [6, 4, 6, 8],
    });
  });

  test('holds whatever is done', () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    let panels = settle(
      Array.from({ length: 12 }, (_, n) =>
        panel(`p${n}`, random(12), random(20), 1 + random(12), 1 + random(6)),
      ),
    );
    expectSound(panels);
    for (let turn = 0; turn < 400; turn += 1) {
      const id = `p${random(12)}`;
      panels =
        random(2) === 0
          ? put(panels, id, {
              x: random(16) - 2,
              y: random(40) - 5,
              w: random(16) - 1,
              h: random(12) - 1,
            })
          : step(panels, id, random(3) - 1, random(2) === 0 ? -1 : 1);
      expectSound(panels);
      expect(panels.map((one) => one.id).sort()).toHaveLength(12);
    }
  });
});

test('a draft goes back and forth, and knows what is kept', () => {
  const draft = new Draft({ title: 'A', panels: [] }, true);
  expect([draft.dirty.value, draft.undoable.value]).toEqual([false, false]);
  draft.change({ title: 'B', panels: [] });
  draft.arrange([panel('a', 0, 0, 6, 4)]);
  draft.arrange([panel('a', 0, 0, 6, 4)]);
  expect(draft.dirty.value).toBe(true);
  const whole = draft.current.value;
  draft.undo();
  draft.undo();
  expect([draft.current.value.title, draft.dirty.value, draft.undoable.value]).toEqual([
    'A',
    false,
    false,
  ]);
  draft.redo();
  draft.redo();
  expect([draft.current.value, draft.redoable.value]).toEqual([whole, false]);
  draft.written(whole);
  expect(draft.dirty.value).toBe(false);
  draft.replace({ title: 'Theirs', panels: [] });
  expect(draft.dirty.value).toBe(false);
  draft.undo();
  expect([draft.current.value, draft.dirty.value]).toEqual([whole, true]);
});

test.each([
  ['nothing', 'no JSON'],
  ['[]', 'no object'],
  ['{"panels": []}', 'no title'],
  ['{"title": "A"}', 'no panels'],
  ['{"title": "A", "panels": [{"kind": "line"}]}', 'no id'],
  ['{"title": "A", "panels": [{"id": "a", "kind": "line"}]}', 'no selector'],
  ['{"title": "A", "panels": [{"id": "a", "kind": "sankey", "select": "up"}]}', 'heatmap'],
  [
    '{"title": "A", "panels": [{"id": "a", "kind": "line", "select": "up", "grid": {"x": "1"}}]}',
    'whole numbers',
  ],
  ['{"title": "A", "panels": [], "variables": [{"name": "a"}]}', 'variable'],
])('a file that is no dashboard is told why: %s', (text, reason) => {
  expect(() => read(text)).toThrow(reason);
});

test('a title becomes a name that the service takes', () => {
  expect(nameOf('CPU & memory – host 1')).toBe('cpu-memory-host-1');
  expect(nameOf('Ü')).toBe('dashboard');
  expect(nameOf(`${'x'.repeat(63)} yy`)).toMatch(/^x{63}$/);
});

describe('a panel that is added to a saved dashboard', () => {
  afterEach(() => vi.unstubAllGlobals());
  const panel = { kind: 'line', select: 'sum(up)' } as const;
  const origin = new URL('http://localhost/');

  /** A service that keeps dashboards; `before` is called as each is about to be saved. */
  function keeping(kept: Map<string, { panels: unknown[] }>, before: () => void) {
    let version = 0;
    vi.stubGlobal(
      'fetch',
      async (url: URL | string, { method, headers, body }: RequestInit = {}) => {
        const name = String(url).split('/').at(-1)!;
        if (method !== 'PUT') {
          const there = kept.get(name);
          return there === undefined
            ? Response.json({ code: 'dashboard', detail: 'none' }, { status: 404 })
            : Response.json(there, { headers: { ETag: `"${version}"` } });
        }
        const wanted = new Headers(headers);
        before();
        const match = wanted.get('If-Match');
        if (match === null ? kept.has(name) : match !== `"${version}"`) {
          return Response.json({}, { status: 412 });
        }
        version += 1;
        kept.set(name, JSON.parse(String(body)));
        return Response.json({}, { headers: { ETag: `"${version}"` } });
      },
    );
    return () => {
      version += 1;
    };
  }

  test('stays beside what others save meanwhile', async () => {
    const kept = new Map([['load', { title: 'Load', panels: [] as unknown[] }]]);
    let meanwhile = 1;
    const save = keeping(kept, () => {
      if (meanwhile > 0) {
        meanwhile -= 1;
        kept.set('load', { title: 'Load', panels: [{ id: 'sum-up', kind: 'line', select: 'x' }] });
        save();
      }
    });
    expect(await addTo(origin, 'load', panel)).toEqual({
      type: 'added',
      name: 'load',
      title: 'Load',
    });
    expect(kept.get('load')!.panels).toMatchObject([
      { id: 'sum-up', grid: { x: 0, y: 0 } },
      { id: 'sum-up-2', select: 'sum(up)', grid: { x: 6, y: 0 } },
    ]);
    meanwhile = 99;
    expect(await addTo(origin, 'load', panel)).toMatchObject({ type: 'refused' });
    expect(await addTo(origin, 'gone', panel)).toEqual({
      type: 'refused',
      reason: 'it was deleted meanwhile',
    });
  });

  test('has a name of its own where the title is that of another', async () => {
    const kept = new Map([['load', { panels: [] as unknown[] }]]);
    keeping(kept, () => {});
    expect(await addToNew('Load', panel, [])).toMatchObject({ name: 'load-2', title: 'Load' });
    expect([...kept.keys()]).toEqual(['load', 'load-2']);
  });
});
