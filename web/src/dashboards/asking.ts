/** What is asked of the stream for the panels of a dashboard. */

import type { Panel } from '../panels/model.ts';
import { isReadable, queriesOf } from '../panels/selection.ts';
import type { Kept } from './model.ts';

/** Selectors of one stream; the server's own limit by default. */
export const MOST_SELECTORS = 32;
/** Characters of them, so that a URL passes everywhere. */
export const MOST_CHARACTERS = 3_000;
/** Means no series that anybody would publish. */
export const NOTHING = '{__name__="nothing",__name__!="nothing"}';
/** The name that a selector begins with. */
const NAME = /^\s*([a-zA-Z_:][\w:]*)\s*(?:\{[^}]*\}\s*)?$/;

/** Whether a dashboard is as it is kept: nothing is filled into it. */
export function isPlain(kept: Kept): boolean {
  return !JSON.stringify(kept).includes('$') && kept.variables === undefined;
}

/** What a panel asks for, each once; of what can't be read nothing is asked. */
export function askedBy(panels: readonly Panel[]): readonly string[] {
  const found = panels
    .flatMap(queriesOf)
    .map(({ select }) => select.trim())
    .filter((select) => select !== NOTHING && isReadable(select));
  return [...new Set(found)];
}

/** Whether a stream can be asked for all of these. */
export function fits(selectors: readonly string[]): boolean {
  const characters = selectors.reduce((sum, { length }) => sum + length, 0);
  return selectors.length <= MOST_SELECTORS && characters <= MOST_CHARACTERS;
}

/**
 * The selectors and expressions of panels that are shown, each once; null where they are so many
 * that only those of panels in sight can be asked for.
 */
export function selectorsOf(panels: readonly Panel[]): readonly string[] | null {
  const selectors = askedBy(panels);
  if (selectors.length === 0) {
    return [NOTHING];
  }
  if (fits(selectors)) {
    return selectors;
  }
  // More than is needed, and less than everything.
  const names = selectors.map((selector) => NAME.exec(selector)?.[1]);
  const all = `{__name__=~"${[...new Set(names)].join('|')}"}`;
  return names.includes(undefined) || all.length > MOST_CHARACTERS ? null : [all];
}
