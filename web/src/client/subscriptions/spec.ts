/** What a subscription asks for, checked. */

import type { Merge } from '../protocol/documents.ts';
import { parseDuration } from '../protocol/duration.ts';
import { type Matcher, read } from '../protocol/selector.ts';

/** The request of a subscription, checked, in the form in which it is compared and sent. */
export interface SubscriptionSpec {
  readonly selectors: readonly string[];
  readonly window: number | null;
  /** About how many points of each series are enough for the window; null for all samples. */
  readonly points: number | null;
  /** Whether the client holds the window, for subscriptions that come later. */
  readonly keep: boolean;
  readonly maxHz: number | null;
  readonly merge: Merge;
  /** Milliseconds from one result of an expression to the next; null for the server's own. */
  readonly step: number | null;
}

/** The options as a page gives them. */
interface Asked {
  readonly window?: string | number;
  readonly points?: number;
  readonly keep?: boolean;
  readonly maxHz?: number;
  readonly merge?: Merge;
  readonly step?: string | number;
}

/** Every series there is. */
export const EVERYTHING = '{__name__=~".+"}';

/** Throws a RangeError or TypeError for options that make no sense. */
export function makeSpec(selector: string | readonly string[], options: Asked): SubscriptionSpec {
  const asked = typeof selector === 'string' ? [selector] : selector;
  const selectors = [...new Set(asked.map((one) => one.trim() || EVERYTHING))];
  const { window, points = null, keep = true, maxHz = null, merge = 'all', step } = options;
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
    step: step === undefined ? null : parseDuration(step),
  };
}

/** Matches the series that the selectors select; null where only the server can evaluate one. */
export function matcherOf({ selectors }: Pick<SubscriptionSpec, 'selectors'>): Matcher | null {
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
