/** Adds a panel to a saved dashboard, or to a new one, without opening it. */

import { type Entry, type Kept, load, Missing } from '../../dashboards/model.ts';
import type { Panel } from '../../panels/model.ts';
import { freeId, nameOf, save } from './keeping.ts';
import { settle } from './layout.ts';

/** Others may save a dashboard meanwhile, and again. */
const ATTEMPTS = 5;

/** Where the panel is now; or why it was added nowhere. */
export type Added =
  | { readonly type: 'added'; readonly name: string; readonly title: string }
  | { readonly type: 'refused'; readonly reason: string };

/** A dashboard with one panel more, in the first free place. */
export function withPanel(kept: Kept, panel: Omit<Panel, 'id'>): Kept {
  const id = freeId(
    nameOf(panel.title ?? panel.select ?? ''),
    kept.panels.map((one) => one.id),
  );
  return { ...kept, panels: settle([...kept.panels, { ...panel, id }]) };
}

/** Add a panel to a saved dashboard. What others save meanwhile stays. */
export async function addTo(origin: URL, name: string, panel: Omit<Panel, 'id'>): Promise<Added> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    try {
      const { kept, etag } = await load(origin, name);
      const outcome = await save(name, withPanel(kept, panel), etag);
      if (outcome.type === 'saved') {
        return { type: 'added', name, title: kept.title };
      }
      if (outcome.type === 'refused') {
        return outcome;
      }
    } catch (error) {
      const why = error instanceof Missing ? 'it was deleted meanwhile' : (error as Error).message;
      return { type: 'refused', reason: why };
    }
  }
  return { type: 'refused', reason: 'others save it all the time' };
}

/** Make a dashboard of this title with one panel. `entries` are those that there are. */
export async function addToNew(
  title: string,
  panel: Omit<Panel, 'id'>,
  entries: readonly Entry[],
): Promise<Added> {
  const kept = withPanel({ title, panels: [] }, panel);
  const taken = entries.map((one) => one.name);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const name = freeId(nameOf(title), taken);
    const outcome = await save(name, kept, null);
    if (outcome.type === 'saved') {
      return { type: 'added', name, title };
    }
    if (outcome.type === 'refused') {
      return outcome;
    }
    taken.push(name);
  }
  return { type: 'refused', reason: 'others have dashboards of this name' };
}
