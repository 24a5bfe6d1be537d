/** Rows of a dashboard: what stands between a heading and the next one. */

import type { Panel } from '../panels/model.ts';

/** A row and the panels below it; `row` is null for those before the first row. */
export interface Section<P extends Panel = Panel> {
  readonly row: P | null;
  readonly panels: readonly P[];
}

/** The rows of panels that are in reading order. */
export function sectionsOf<P extends Panel>(panels: readonly P[]): Section<P>[] {
  const sections: { row: P | null; panels: P[] }[] = [{ row: null, panels: [] }];
  for (const panel of panels) {
    if (panel.kind === 'row') {
      sections.push({ row: panel, panels: [] });
    } else {
      sections.at(-1)!.panels.push(panel);
    }
  }
  return sections;
}

/** Panels in reading order without those of folded rows; what is below moves up. */
export function unfolded(
  panels: readonly Panel[],
  isFolded: (row: Panel) => boolean,
): readonly Panel[] {
  const sections = sectionsOf(panels);
  let up = 0;
  return sections.flatMap(({ row, panels: below }, at) => {
    const here = up;
    const moved = (panel: Panel): Panel =>
      panel.grid === undefined || here === 0
        ? panel
        : { ...panel, grid: { ...panel.grid, y: Math.max(0, panel.grid.y - here) } };
    if (row === null || !isFolded(row)) {
      return [...(row === null ? [] : [row]), ...below].map(moved);
    }
    const next = sections[at + 1]?.row?.grid;
    if (row.grid !== undefined && next !== undefined) {
      up += Math.max(0, next.y - row.grid.y - row.grid.h);
    }
    return [moved(row)];
  });
}
