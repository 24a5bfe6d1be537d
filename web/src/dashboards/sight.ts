/**
 * The selectors that the page of all metrics asks the stream for: of what is in sight, and a little
 * more.
 */

import { NOTHING } from './asking.ts';

/**
 * The most selectors and characters asked for at once, which leaves room for those of another tab.
 */
const MOST_SELECTORS = 24;
const MOST_CHARACTERS = 2_400;
/** The metrics of one selector. They are few, so that a selector is soon no longer needed. */
const MOST_NAMES = 8;
/** Characters that have a meaning in a regular expression. */
const SPECIAL = /[\\^$.*+?()[\]{}|]/g;
/** A metric that left is asked for this many milliseconds longer: people scroll back. */
const KEEP_MS = 20_000;

/**
 * Metrics that came into sight together. They are asked for together until all of them have left.
 */
interface Batch {
  readonly names: readonly string[];
  readonly selector: string;
  /** When one of them was last in sight, by `Date.now()`. */
  seenAt: number;
}

export class Sight {
  #batches: Batch[] = [];

  /**
   * The selectors to ask for while these metrics are in sight, most wanted first. Earlier selectors
   * stay the same, so that nothing is sent again. If there are too many, the last are left out.
   */
  selectors(near: readonly string[], now: number): readonly string[] {
    for (const batch of this.#batches) {
      if (batch.names.some((name) => near.includes(name))) {
        batch.seenAt = now;
      }
    }
    this.#batches = this.#batches.filter(({ seenAt }) => now - seenAt < KEEP_MS);
    const known = new Set(this.#batches.flatMap(({ names }) => names));
    const missing = [...new Set(near)].filter((name) => !known.has(name));
    for (let at = 0; at < missing.length; at += MOST_NAMES) {
      const names = missing.slice(at, at + MOST_NAMES);
      this.#batches.push({ names, selector: selectorOf(names), seenAt: now });
    }
    // Metrics out of sight make room for those in sight.
    let characters = 0;
    this.#batches = this.#batches
      .toSorted((a, b) => b.seenAt - a.seenAt)
      .filter(({ selector }, index) => {
        characters += selector.length;
        return index < MOST_SELECTORS && characters <= MOST_CHARACTERS;
      });
    return this.#batches.length === 0 ? [NOTHING] : this.#batches.map(({ selector }) => selector);
  }

  /** Whether a metric is asked for that has left. */
  lingers(now: number): boolean {
    return this.#batches.some(({ seenAt }) => now - seenAt >= KEEP_MS);
  }
}

/** A selector for the series of these metrics. */
export function selectorOf(names: readonly string[]): string {
  const either = names.map((name) => name.replace(SPECIAL, '\\$&')).join('|');
  return `{__name__=~${JSON.stringify(either)}}`;
}
