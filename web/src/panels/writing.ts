/** How the values of a panel and of its lines are written. */

import { type Format, formatOf } from '../format/units.ts';
import { mapped } from './mapping.ts';
import type { Panel } from './model.ts';

export type Written = Pick<Panel, 'decimals' | 'min' | 'max' | 'mappings'>;

/** The format of a unit in a panel; `tint` makes a colour of its mappings one for the page. */
export function formatFor(
  { decimals, min, max, mappings }: Written,
  unit: string,
  rate: boolean,
  tint: (colour: string) => string,
): Format {
  const usual = formatOf(unit, rate, decimals);
  const format: Format =
    min === undefined || max === undefined ? usual : { ...usual, bounds: [min, max] };
  return mappings === undefined ? format : mapped(format, mappings, tint);
}
