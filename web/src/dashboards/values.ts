/** The values that a variable has to choose from. */

import { natural } from '../format/natural.ts';
import { ALL, fillIn, type Meanings, referencesIn, type Values } from './filling.ts';
import type { Variable } from './model.ts';

/**
 * Those of a label among the series of a selector, in the order people count in. Throws an Error that
 * says why not.
 */
export async function labelValues(label: string, select: string): Promise<readonly string[]> {
  const url = new URL('v1/label_values', document.baseURI);
  url.searchParams.set('label', label);
  url.searchParams.set('select', select);
  const response = await fetch(url, { headers: { Accept: 'application/json' } });
  const body = (await response.json()) as { values: readonly string[]; detail?: string };
  if (!response.ok) {
    throw new Error(body.detail ?? `the server answered ${response.status}`);
  }
  return [...body.values].sort(natural);
}

/** The selector that a variable's values are sought by; null while what it depends on is open. */
export function soughtBy({ select }: Variable, meanings: Meanings, names: ReadonlySet<string>) {
  if (select === undefined) {
    return null;
  }
  const open = referencesIn(select).some((name) => names.has(name) && meanings[name] === undefined);
  return open ? null : fillIn(select, meanings);
}

/** The values of an address that can be chosen, and sentences about those that can't. */
export function checked(
  values: Values,
  variables: readonly Variable[] = [],
): { readonly values: Values; readonly wrong: readonly string[] } {
  const right: Record<string, readonly string[]> = {};
  const wrong: string[] = [];
  for (const [name, given] of Object.entries(values)) {
    const variable = variables.find((one) => one.name === name);
    if (variable === undefined) {
      wrong.push(`var-${name} in the address is of no variable of this dashboard.`);
      right[name] = given;
      continue;
    }
    let chosen = given.filter((value) => {
      const all = value === ALL;
      const there = all ? variable.all === true : (variable.values?.includes(value) ?? true);
      if (!there) {
        const instead = all ? 'takes one value at a time' : `has ${variable.values?.join(', ')}`;
        wrong.push(`var-${name}=${value} in the address is none of its values: it ${instead}.`);
      }
      return there;
    });
    if (chosen.length > 1 && chosen.includes(ALL)) {
      chosen = [ALL];
    }
    if (chosen.length > 1 && variable.multi !== true) {
      wrong.push(`var-${name} is in the address more than once: ${chosen[0]} counts.`);
      chosen = chosen.slice(0, 1);
    }
    if (chosen.length > 0) {
      right[name] = chosen;
    }
  }
  return { values: right, wrong };
}
