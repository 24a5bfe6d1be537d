/** What is asked of the stream for the panels of a dashboard. */

import { isReadable } from '../panels/selection.ts';
import { fillIn, type Kept } from './model.ts';

/** Selectors of one stream; the server's own limit by default. */
const MOST_SELECTORS = 32;
/** Characters of them, so that a URL passes everywhere. */
const MOST_CHARACTERS = 3_000;
/** Means no series that anybody would publish. */
export const NOTHING = '{__name__="nothing",__name__!="nothing"}';
/** The name that a selector begins with. */
const NAME = /^\s*([a-zA-Z_:][\w:]*)\s*(?:\{|$)/;

/**
 * The selectors of the panels that are shown, each once; null for every series, where so many can't
 * be asked for one by one. A panel whose variable has no value yet, or whose selector can't be read,
 * shows nothing: nothing is asked for it.
 */
export function selectorsOf(
  { panels, variables = [] }: Kept,
  values: Readonly<Record<string, string>>,
  only: string | null,
): readonly string[] | null {
  const open = variables.filter(({ name }) => values[name] === undefined);
  const found = panels
    .filter(({ id }) => only === null || id === only)
    .filter(({ select }) => !open.some(({ name }) => select.includes(`$${name}`)))
    .map(({ select }) => fillIn(select, values).trim())
    .filter(isReadable);
  const selectors = [...new Set(found)];
  if (selectors.length === 0) {
    return [NOTHING];
  }
  const characters = selectors.reduce((sum, { length }) => sum + length, 0);
  if (selectors.length <= MOST_SELECTORS && characters <= MOST_CHARACTERS) {
    return selectors;
  }
  // More than is needed, and less than everything.
  const names = selectors.map((selector) => NAME.exec(selector)?.[1]);
  const all = `{__name__=~"${[...new Set(names)].join('|')}"}`;
  return names.includes(undefined) || all.length > MOST_CHARACTERS ? null : [all];
}
