/** The values that can be chosen for a variable. */

import { natural } from '../format/natural.ts';
import { ALL, fillIn, type Meanings, referencesIn, type Values } from './filling.ts';
import type { Variable } from './model.ts';

/**
 * The values of a label among the series of a selector, sorted so that numbers in them count as
 * numbers. Throws an Error that says why there are none.
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

/**
 * The selector of the series whose label has a variable's values; null while a variable in it has
 * no value.
 */
export function soughtBy({ select }: Variable, meanings: Meanings, names: ReadonlySet<string>) {
  if (select === undefined) {
    return null;
  }
  const open = referencesIn(select).some((name) => names.has(name) && meanings[name] === undefined);
  return open ? null : fillIn(select, meanings);
}

/** The values in an address that can be chosen, and sentences about those that can't be. */
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
