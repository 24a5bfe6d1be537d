/** What a subscription asks for, checked. */

import type { Merge } from '../protocol/documents.ts';
import { parseDuration } from '../protocol/duration.ts';
import { type Matcher, read } from '../protocol/selector.ts';

/** What is asked for, in the form in which it is compared and sent. */
export interface Wish {
  readonly selectors: readonly string[];
  readonly window: number | null;
  /** Of each series, that are enough for the window; null for all of its samples. */
  readonly points: number | null;
  /** Whether the window is held here, for whoever comes later. */
  readonly keep: boolean;
  readonly maxHz: number | null;
  readonly merge: Merge;
}

/** The same as a page says it. */
interface Asked {
  readonly window?: string | number;
  readonly points?: number;
  readonly keep?: boolean;
  readonly maxHz?: number;
  readonly merge?: Merge;
}

/** Every series there is. */
export const EVERYTHING = '{__name__=~".+"}';

/** Throws a RangeError or TypeError for what can't be meant. */
export function makeWish(selector: string | readonly string[], options: Asked): Wish {
  const asked = typeof selector === 'string' ? [selector] : selector;
  const selectors = [...new Set(asked.map((one) => one.trim() || EVERYTHING))];
  const { window, points = null, keep = true, maxHz = null, merge = 'all' } = options;
  if (maxHz !== null && !(maxHz > 0 && maxHz < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`maxHz must be a number above 0, not ${maxHz}`);
  }
  if (points !== null && !(Number.isInteger(points) && points >= 4 && window !== undefined)) {
    throw new RangeError(`points takes a window, and a whole number from 4 on, not ${points}`);
  }
  if (!['all', 'last', 'envelope'].includes(merge)) {
    throw new TypeError(`merge must be all, last or envelope, not ${JSON.stringify(merge)}`);
  }
  return {
    selectors: selectors.length > 0 ? selectors : [EVERYTHING],
    window: window === undefined ? null : parseDuration(window),
    points,
    keep,
    maxHz,
    merge,
  };
}

/** What a wish means; null where only the server can tell. */
export function matcherOf({ selectors }: Pick<Wish, 'selectors'>): Matcher | null {
  const matchers: Matcher[] = [];
  for (const selector of selectors) {
    const matcher = read(selector);
    if (matcher === null) {
      return null;
    }
    matchers.push(matcher);
  }
  return (name, labels) => matchers.some((matches) => matches(name, labels));
}
