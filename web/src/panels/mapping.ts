/** What values are shown as instead of themselves. */

import type { Format } from '../format/units.ts';
import type { Mapping } from './model.ts';

/** What a value is shown as; what is left out is as it would be without a mapping. */
export interface Meant {
  readonly text?: string;
  readonly colour?: string;
}

/** Longer texts are no states, and a pattern might take long with them. */
const MOST_MATCHED = 200;
const MOST_REPETITIONS = 3;

/** The first mapping that a value meets, applied to it; null if there is none. */
export function meantBy(mappings: readonly Mapping[] | undefined, value: unknown): Meant | null {
  for (const mapping of mappings ?? []) {
    const text = textBy(mapping, value);
    if (text !== null) {
      const { colour } = mapping;
      return { ...(text !== undefined && { text }), ...(colour !== undefined && { colour }) };
    }
  }
  return null;
}

/** The text of a mapping for a value; undefined if it has none, null if it isn't for this value. */
function textBy(
  { value: one, min, max, regex, special, text }: Mapping,
  value: unknown,
): string | undefined | null {
  const missing =
    value === undefined || value === null || (typeof value === 'number' && !Number.isFinite(value));
  if (special !== undefined || missing) {
    return special !== undefined && missing ? text : null;
  }
  if (one !== undefined) {
    return one === value || (typeof value !== 'number' && one === String(value)) ? text : null;
  }
  const written = String(value).slice(0, MOST_MATCHED);
  if (regex !== undefined) {
    const pattern = patternOf(regex);
    return pattern?.test(written) ? text && written.replace(pattern, text) : null;
  }
  const number = typeof value === 'number' ? value : Number.NaN;
  return number >= (min ?? Number.NEGATIVE_INFINITY) && number <= (max ?? Number.POSITIVE_INFINITY)
    ? text
    : null;
}

/** A format in which values are written as they are mapped, in colours that `tint` makes of theirs. */
export function mapped(
  format: Format,
  mappings: readonly Mapping[],
  tint: (colour: string) => string,
): Format {
  const meant = (value: unknown): Meant | null => {
    const found = meantBy(mappings, value);
    return found?.colour === undefined ? found : { ...found, colour: tint(found.colour) };
  };
  const exact = mappings.filter(({ value }) => value !== undefined);
  return {
    ...format,
    meant,
    value: (value) => meant(value)?.text ?? format.value(value),
    ticks: (values) => {
      const labels = format.ticks(values);
      return values.map((value, at) => meantBy(exact, value)?.text ?? labels[at]!);
    },
  };
}

const patterns = new Map<string, RegExp | null>();

/** A pattern of the service's, which has another engine; null for one that may take long here. */
export function patternOf(regex: string): RegExp | null {
  let pattern = patterns.get(regex);
  if (pattern === undefined) {
    pattern = compiled(regex);
    patterns.set(regex, pattern);
  }
  return pattern;
}

function compiled(regex: string): RegExp | null {
  const bare = regex
    .replace(/\\.|\[(?:\\.|[^\]])*\]/g, '_')
    .replaceAll('(?:', '(')
    .replaceAll('(?i)', '');
  if (/\)[*+?{]|[*+}][*+]/.test(bare) || (bare.match(/[*+{]/g)?.length ?? 0) > MOST_REPETITIONS) {
    return null;
  }
  try {
    return new RegExp(regex.replace(/^\(\?i\)/, ''), regex.startsWith('(?i)') ? 'iu' : 'u');
  } catch {
    return null;
  }
}
