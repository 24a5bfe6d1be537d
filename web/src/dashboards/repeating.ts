/** Panels and rows that are there once for each value of a variable. */

import type { Panel } from '../panels/model.ts';
import { inReadingOrder } from './place.ts';
import { sectionsOf } from './rows.ts';

/** The most values for which a panel or a row is there; of more, the first. */
export const MOST_REPEATED = 50;
/** The most panels that a dashboard shows. */
const MOST_PANELS = 250;
const COLUMNS = 12;
const ACROSS = 4;

/** A panel, and the variable that has one value in it, whatever else is chosen. */
export interface Scoped {
  readonly panel: Panel;
  readonly scope: Readonly<Record<string, string>>;
}

/** Whether anything is there several times. */
export function isRepeated(panels: readonly Panel[]): boolean {
  return panels.some(({ repeat }) => repeat !== undefined);
}

/**
 * The panels, in reading order, each as often as its variable has values, and how many are left out,
 * as they would be too many. Where the values aren't known yet a panel is there once. Panels are
 * called `id:value` then.
 */
export function repeated(
  panels: readonly Panel[],
  valuesOf: (variable: string) => readonly string[] | undefined,
): { readonly shown: readonly Scoped[]; readonly left: number } {
  let left = 0;
  const some = (panel: Panel): readonly (string | null)[] => {
    const values = panel.repeat === undefined ? undefined : valuesOf(panel.repeat);
    if (values === undefined || values.length === 0) {
      return [null];
    }
    left += Math.max(0, values.length - MOST_REPEATED);
    return values.slice(0, MOST_REPEATED);
  };
  const found = sectionsOf(inReadingOrder(panels)).flatMap(({ row, panels: below }) =>
    (row === null ? [null] : some(row)).flatMap((value) => {
      const outer = value === null ? {} : { [row!.repeat!]: value };
      const copy = (panel: Panel): Scoped => ({
        panel: value === null ? panel : { ...panel, id: `${panel.id}:${value}` },
        scope: outer,
      });
      return [
        ...(row === null ? [] : [copy(row)]),
        ...below.flatMap((panel) => {
          const inner = panel.repeat !== undefined && panel.repeat in outer ? [null] : some(panel);
          return inner.map((one, at) => {
            const { panel: made, scope } = copy(panel);
            return one === null
              ? { panel: made, scope }
              : {
                  panel: { ...placed(made, at, inner.length), id: `${made.id}:${one}` },
                  scope: { ...scope, [panel.repeat!]: one },
                };
          });
        }),
      ];
    }),
  );
  left += Math.max(0, found.length - MOST_PANELS);
  return { shown: settled(found.slice(0, MOST_PANELS)), left };
}

/** The place of one of several, before those above it have theirs. */
function placed(panel: Panel, at: number, count: number): Panel {
  const { grid, across = ACROSS } = panel;
  if (grid === undefined || across === 1) {
    return panel;
  }
  const beside = Math.min(across, count);
  const w = Math.max(1, Math.floor(COLUMNS / beside));
  return { ...panel, grid: { ...grid, x: (at % beside) * w, w } };
}

/** Each panel as far up as those before it leave room. */
function settled(found: readonly Scoped[]): readonly Scoped[] {
  const heights = new Array<number>(COLUMNS).fill(0);
  return found.map(({ panel, scope }) => {
    const { grid } = panel;
    if (grid === undefined) {
      return { panel, scope };
    }
    // A row is as wide as all, so that nothing passes it.
    const [x, w] = panel.kind === 'row' ? [0, COLUMNS] : [grid.x, grid.w];
    const y = Math.max(...heights.slice(x, x + w));
    heights.fill(y + grid.h, x, x + w);
    return { panel: { ...panel, grid: { ...grid, x, w, y } }, scope };
  });
}
