/**
 * Chooses what a dashboard asks for that has more selectors than one stream may have: those of
 * panels in sight come first.
 */

import { askedBy, fits, NOTHING } from '../dashboards/asking.ts';
import type { Panel } from '../panels/model.ts';

/** Panels count as near up to a screen above and below what is in sight. */
const NEAR = '100% 0px';
/** Milliseconds without scrolling after which other panels are asked for. */
const REST_MS = 250;

/**
 * Call `ask` with the selectors of the panels that are near, as many as one stream takes, the
 * nearest panels first, until the returned function is called. The element of each panel within
 * `root` has its id as data-panel.
 */
export function askNear(
  root: Element,
  panels: readonly Panel[],
  ask: (selectors: readonly string[]) => void,
): () => void {
  const near = new Set<Element>();
  const byId = new Map(panels.map((panel) => [panel.id, panel]));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const settle = (): void => {
    const middle = innerHeight / 2;
    const away = (cell: Element): number => {
      const { top, bottom } = cell.getBoundingClientRect();
      return Math.max(top - middle, middle - bottom, 0);
    };
    const nearest = [...near]
      .map((cell) => ({ cell, distance: away(cell) }))
      .sort((a, b) => a.distance - b.distance);
    let asked: readonly string[] = [];
    for (const { cell } of nearest) {
      const panel = byId.get(cell.getAttribute('data-panel')!);
      const more = [...new Set([...asked, ...(panel === undefined ? [] : askedBy([panel]))])];
      if (fits(more)) {
        asked = more;
      }
    }
    // Sorted, so that the same selectors are one and the same request whichever panel is nearest.
    ask(asked.length > 0 ? [...asked].sort() : [NOTHING]);
  };
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) {
          near.add(target);
        } else {
          near.delete(target);
        }
      }
      clearTimeout(timer);
      timer = setTimeout(settle, REST_MS);
    },
    { rootMargin: NEAR },
  );
  for (const cell of root.querySelectorAll('[data-panel]')) {
    observer.observe(cell);
  }
  return () => {
    clearTimeout(timer);
    observer.disconnect();
  };
}
