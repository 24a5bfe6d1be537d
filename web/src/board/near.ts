/** What is asked for of a dashboard that asks for more than one stream may: what is in sight first. */

import { askedBy, fits, NOTHING } from '../dashboards/asking.ts';
import type { Panel } from '../panels/model.ts';

/** A screen above and below what is in sight. */
const NEAR = '100% 0px';
/** Milliseconds that somebody who scrolls rests, before it counts. */
const REST_MS = 250;

/**
 * Have `ask` told of the selectors of panels that are near to what is in sight, the nearest first, as
 * many as a stream takes; until what is returned is called. Each panel's element within `root` has
 * its id as data-panel.
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
    // In the same order whatever is nearest, so that the same is asked for.
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
