import type { Panel } from '../panels/model.ts';

/** Where the style sheet puts a cell: it counts from one. */
export function placeStyle({ x, y, w, h }: NonNullable<Panel['grid']>): Record<string, number> {
  return { '--x': x + 1, '--y': y + 1, '--w': w, '--h': h };
}
