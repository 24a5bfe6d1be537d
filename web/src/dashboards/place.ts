import type { Panel } from '../panels/model.ts';

/** The place of a cell in the style sheet's grid, which counts from one. */
export function placeStyle({ x, y, w, h }: NonNullable<Panel['grid']>): Record<string, number> {
  return { '--x': x + 1, '--y': y + 1, '--w': w, '--h': h };
}

/**
 * Panels in reading order: row by row, those without a place last. It is their order on a phone,
 * and for the keyboard.
 */
export function inReadingOrder<P extends Panel>(panels: readonly P[]): P[] {
  const last = Number.MAX_SAFE_INTEGER;
  return [...panels].sort(
    ({ grid: a }, { grid: b }) =>
      (a?.y ?? last) - (b?.y ?? last) || (a?.x ?? last) - (b?.x ?? last),
  );
}
