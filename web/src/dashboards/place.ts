import type { Panel } from '../panels/model.ts';

/** Where the style sheet puts a cell: it counts from one. */
export function placeStyle({ x, y, w, h }: NonNullable<Panel['grid']>): Record<string, number> {
  return { '--x': x + 1, '--y': y + 1, '--w': w, '--h': h };
}

/**
 * Panels as they are read: row by row, those without a place last. So they stand one under the other
 * on a phone, and so one comes through them by keyboard.
 */
export function inReadingOrder<P extends Panel>(panels: readonly P[]): P[] {
  const last = Number.MAX_SAFE_INTEGER;
  return [...panels].sort(
    ({ grid: a }, { grid: b }) =>
      (a?.y ?? last) - (b?.y ?? last) || (a?.x ?? last) - (b?.x ?? last),
  );
}
