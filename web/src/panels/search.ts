import { read } from '../client/protocol/selector.ts';
import type { Panel } from '../store/panel.ts';

/** Shorter words are too like everything. */
const LEAST_NEAR = 4;

/**
 * Panels in which every word is found: in the name, the help, or a label. A selector finds those
 * with a series that it means. Where nothing is found, those whose names are like it: `ncpu` for
 * node_cpu, or a letter that is wrong; the likest first.
 */
export function matching(panels: readonly Panel[], filter: string): readonly Panel[] {
  const means = filter.includes('{') ? read(filter) : null;
  if (means !== null) {
    return panels.filter(({ members }) =>
      members.some(({ series }) => means(series.name, series.labels)),
    );
  }
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return panels;
  }
  const texts = panels.map(textOf);
  const exact = panels.filter((_, at) => words.every((word) => texts[at]!.includes(word)));
  if (exact.length > 0) {
    return exact;
  }
  return panels
    .map((panel, at) => ({
      panel,
      miss: words.reduce((sum, word) => sum + missOf(word, panel.name, texts[at]!), 0),
    }))
    .filter(({ miss }) => miss < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.miss - b.miss)
    .map(({ panel }) => panel);
}

function textOf(panel: Panel): string {
  return [
    panel.name,
    panel.help,
    ...panel.members.flatMap(({ series }) =>
      Object.entries(series.labels).map(([name, value]) => `${name}=${value}`),
    ),
  ]
    .join('\n')
    .toLowerCase();
}

/** How unlike a word is to what a panel says: 0 where it says so, infinite where it's nothing like. */
function missOf(word: string, name: string, text: string): number {
  if (text.includes(word)) {
    return 0;
  }
  const plain = /^[a-z0-9]+$/.test(word);
  if (
    plain &&
    word.length >= LEAST_NEAR &&
    text.split(/[^a-z0-9]+/).some((token) => near(word, token))
  ) {
    return 1;
  }
  return 2 + spread(word, name.toLowerCase());
}

/** Whether two words differ by one letter: another one, one more, one less, or two swapped. */
function near(one: string, other: string): boolean {
  if (Math.abs(one.length - other.length) > 1) {
    return false;
  }
  let start = 0;
  while (start < one.length && one[start] === other[start]) {
    start += 1;
  }
  const rest = one.slice(start);
  const there = other.slice(start);
  return (
    rest.slice(1) === there.slice(1) ||
    rest.slice(1) === there ||
    rest === there.slice(1) ||
    (rest.length > 1 &&
      rest[0] === there[1] &&
      rest[1] === there[0] &&
      rest.slice(2) === there.slice(2))
  );
}

/** Letters between the letters of a word, in their order in a name, that begin no part of it. */
function spread(word: string, name: string): number {
  let at = -1;
  let skipped = 0;
  for (const letter of word) {
    const next = name.indexOf(letter, at + 1);
    if (next < 0) {
      return Number.POSITIVE_INFINITY;
    }
    const begins = next === 0 || name[next - 1] === '_';
    skipped += at >= 0 && next > at + 1 && !begins ? 1 : 0;
    at = next;
  }
  // A word that is scattered over the name was not meant.
  return skipped * 2 > word.length ? Number.POSITIVE_INFINITY : skipped;
}
