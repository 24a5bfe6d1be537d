/**
 * The places of panels on the grid of a dashboard: they don't overlap, and none has free space
 * above it.
 */

import { inReadingOrder } from '../../dashboards/place.ts';
import type { Panel } from '../../panels/model.ts';

export const COLUMNS = 12;
export const LEAST_WIDTH = 2;
export const LEAST_HEIGHT = 2;
const MOST_HEIGHT = 100;
const USUAL = { w: 6, h: 4 };

export interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** A panel with a place. */
export type Placed = Panel & { readonly grid: Place };

/** Give each panel a place: its own, or the first free one, row by row. */
export function settle(panels: readonly Panel[]): Placed[] {
  const settled: Placed[] = [];
  for (const panel of panels) {
    if (panel.grid !== undefined) {
      settled.push({ ...panel, grid: fitting(panel, panel.grid) });
    }
  }
  const places = new Map(compact(settled).map((panel) => [panel.id, panel]));
  for (const panel of panels) {
    if (!places.has(panel.id)) {
      const others = [...places.values()];
      places.set(panel.id, { ...panel, grid: firstFree(others, usualOf(panel)) });
    }
  }
  return panels.map(({ id }) => places.get(id)!);
}

/** The first free place of this size. */
export function firstFree(
  panels: readonly Placed[],
  { w, h }: { readonly w: number; readonly h: number },
): Place {
  for (let y = 0; ; y += 1) {
    for (let x = 0; x + w <= COLUMNS; x += 1) {
      const place = { x, y, w, h };
      if (panels.every(({ grid }) => !overlap(grid, place))) {
        return place;
      }
    }
  }
}

/**
 * Move or resize one panel. Panels in its way go below it, or above if it came from there; then all
 * panels move up as far as they can.
 */
export function put(panels: readonly Placed[], id: string, wanted: Place): Placed[] {
  const panel = panels.find((one) => one.id === id)!;
  const place = fitting(panel, wanted);
  const moved = { ...panel, grid: place };
  const settled: Placed[] = [moved];
  for (const panel of inOrder(panels.filter((one) => one.id !== id))) {
    const { grid } = panel;
    const above = { ...grid, y: place.y - grid.h };
    if (overlap(grid, place) && grid.y < place.y && above.y >= 0 && isFree(above, settled)) {
      settled.push({ ...panel, grid: above });
    } else {
      settled.push({ ...panel, grid: below(grid, settled) });
    }
  }
  const found = new Map(compact(settled, id).map((panel) => [panel.id, panel]));
  return panels.map((panel) => found.get(panel.id)!);
}

/**
 * Move one panel by the smallest step that changes something: past a whole neighbour if one is in
 * the way.
 */
export function step(panels: readonly Placed[], id: string, dx: number, dy: number): Placed[] {
  const { grid } = panels.find((panel) => panel.id === id)!;
  if (dx !== 0) {
    return put(panels, id, { ...grid, x: grid.x + dx });
  }
  const bottom = Math.max(...panels.map((panel) => panel.grid.y + panel.grid.h));
  for (let y = grid.y + dy; y >= 0 && y <= bottom; y += dy) {
    const moved = put(panels, id, { ...grid, y });
    if (Math.sign(moved.find((panel) => panel.id === id)!.grid.y - grid.y) === Math.sign(dy)) {
      return moved;
    }
  }
  return [...panels];
}

/**
 * Swap a panel with the one before it in reading order (or after it, if `by` is 1); the panels
 * unchanged if there is none.
 */
export function exchange(panels: readonly Placed[], id: string, by: -1 | 1): Placed[] {
  const order = inReadingOrder(panels);
  const at = order.findIndex((panel) => panel.id === id);
  const [before, after] = by < 0 ? [order[at - 1], order[at]] : [order[at], order[at + 1]];
  if (before === undefined || after === undefined) {
    return [...panels];
  }
  const [a, b] = [before.grid, after.grid];
  const swapped = new Map([
    [before.id, { ...a, x: b.x, y: b.y }],
    [after.id, { ...b, x: a.x, y: a.y }],
  ]);
  const ways = [
    ...(a.w === b.w && a.h === b.h
      ? [panels.map((panel) => ({ ...panel, grid: swapped.get(panel.id) ?? panel.grid }))]
      : []),
    put(panels, before.id, { ...a, y: b.y + b.h }),
    put(panels, after.id, { ...b, x: a.x, y: a.y }),
  ];
  const wanted = order.map((panel) =>
    panel === before ? after.id : panel === after ? before.id : panel.id,
  );
  // All other panels keep their order if possible.
  const asWanted = (way: readonly Placed[]): boolean =>
    inReadingOrder(way).every((panel, index) => panel.id === wanted[index]);
  return ways.find(asWanted) ?? ways.at(-1)!;
}

/**
 * Move all panels up as far as they can, in their present order; of two at the same height, `first`
 * goes first.
 */
export function compact(panels: readonly Placed[], first?: string): Placed[] {
  const settled: Placed[] = [];
  for (const panel of inOrder(panels, first)) {
    let grid = below(panel.grid, settled);
    while (grid.y > 0 && isFree({ ...grid, y: grid.y - 1 }, settled)) {
      grid = { ...grid, y: grid.y - 1 };
    }
    settled.push({ ...panel, grid });
  }
  const found = new Map(settled.map((panel) => [panel.id, panel]));
  return panels.map(({ id }) => found.get(id)!);
}

export function overlap(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

function isFree(place: Place, panels: readonly Placed[]): boolean {
  return panels.every(({ grid }) => !overlap(grid, place));
}

/** The nearest free place further down. */
function below(place: Place, panels: readonly Placed[]): Place {
  let found = place;
  for (;;) {
    const taken = panels.find(({ grid }) => overlap(grid, found));
    if (taken === undefined) {
      return found;
    }
    found = { ...found, y: taken.grid.y + taken.grid.h };
  }
}

function inOrder(panels: readonly Placed[], first?: string): Placed[] {
  return [...panels].sort(
    (a, b) =>
      a.grid.y - b.grid.y || Number(b.id === first) - Number(a.id === first) || a.grid.x - b.grid.x,
  );
}

/** The size of a panel that nobody has placed. */
export function usualOf({ kind }: Pick<Panel, 'kind'>): Pick<Place, 'w' | 'h'> {
  return kind === 'row' ? { w: COLUMNS, h: 1 } : USUAL;
}

/** The nearest place that a panel may have: a row is as wide as all, and a line high. */
function fitting({ kind }: Panel, place: Place): Place {
  return kind === 'row' ? { ...usualOf({ kind }), x: 0, y: Math.max(0, place.y) } : inside(place);
}

/** The nearest place within the grid. */
function inside({ x, y, w, h }: Place): Place {
  const width = clamp(w, LEAST_WIDTH, COLUMNS);
  return {
    x: clamp(x, 0, COLUMNS - width),
    y: Math.max(0, y),
    w: width,
    h: clamp(h, LEAST_HEIGHT, MOST_HEIGHT),
  };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
