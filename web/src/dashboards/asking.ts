/** The selectors that the panels of a dashboard ask the stream for. */

import { isReadable } from '../panels/selection.ts';
import { fillIn, type Kept } from './model.ts';

/** The most selectors of one stream; the server's own limit by default. */
const MOST_SELECTORS = 32;
/** The most characters of them together, so that the URL is accepted everywhere. */
const MOST_CHARACTERS = 3_000;
/** A selector that matches no series that anybody would publish. */
export const NOTHING = '{__name__="nothing",__name__!="nothing"}';
/** The metric name at the beginning of a selector. */
const NAME = /^\s*([a-zA-Z_:][\w:]*)\s*(?:\{|$)/;

/**
 * The selectors of the panels that are shown, each once; null for every series if there are too
 * many to ask for one by one. A panel whose variable has no value yet, or whose selector can't be
 * read, shows nothing, and nothing is asked for it.
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
  // This is more than needed, but less than every series.
  const names = selectors.map((selector) => NAME.exec(selector)?.[1]);
  const all = `{__name__=~"${[...new Set(names)].join('|')}"}`;
  return names.includes(undefined) || all.length > MOST_CHARACTERS ? null : [all];
}
