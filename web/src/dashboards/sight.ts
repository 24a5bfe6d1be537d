/** What is asked of the stream for the page of all metrics: what is in sight, and a little more. */

import { NOTHING } from './asking.ts';

/** Selectors and characters that are asked for at once, with room for those of another tab. */
const MOST_SELECTORS = 24;
const MOST_CHARACTERS = 2_400;
/** Metrics that one selector means: few, so that it is soon done with. */
const MOST_NAMES = 8;
/** Characters that mean something else in a pattern. */
const SPECIAL = /[\\^$.*+?()[\]{}|]/g;
/** What has left goes on for so long: who looks around comes back. */
const KEEP_MS = 20_000;

/** Metrics that came into sight together, and are asked for together until all of them left. */
interface Batch {
  readonly names: readonly string[];
  readonly selector: string;
  /** When one of them was in sight last, as `Date.now()` has it. */
  seenAt: number;
}

export class Sight {
  private batches: Batch[] = [];

  /**
   * The selectors to ask for while these metrics are in sight, most wanted first. Those that were
   * asked for stay what they are, so that nothing is sent anew; of more than can be asked for, the
   * last are left out.
   */
  selectors(near: readonly string[], now: number): readonly string[] {
    for (const batch of this.batches) {
      if (batch.names.some((name) => near.includes(name))) {
        batch.seenAt = now;
      }
    }
    this.batches = this.batches.filter(({ seenAt }) => now - seenAt < KEEP_MS);
    const known = new Set(this.batches.flatMap(({ names }) => names));
    const missing = [...new Set(near)].filter((name) => !known.has(name));
    for (let at = 0; at < missing.length; at += MOST_NAMES) {
      const names = missing.slice(at, at + MOST_NAMES);
      this.batches.push({ names, selector: selectorOf(names), seenAt: now });
    }
    // What isn't in sight makes room for what is.
    let characters = 0;
    this.batches = this.batches
      .toSorted((a, b) => b.seenAt - a.seenAt)
      .filter(({ selector }, index) => {
        characters += selector.length;
        return index < MOST_SELECTORS && characters <= MOST_CHARACTERS;
      });
    return this.batches.length === 0 ? [NOTHING] : this.batches.map(({ selector }) => selector);
  }

  /** Whether something is asked for that has left. */
  lingers(now: number): boolean {
    return this.batches.some(({ seenAt }) => now - seenAt >= KEEP_MS);
  }
}

/** Means the series of these metrics. */
export function selectorOf(names: readonly string[]): string {
  const either = names.map((name) => name.replace(SPECIAL, '\\$&')).join('|');
  return `{__name__=~${JSON.stringify(either)}}`;
}
