import { read } from '../client/protocol/selector.ts';
import type { Panel } from '../store/panel.ts';

/** Shorter words resemble too many others. */
const LEAST_NEAR = 4;
const STRINGS = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`/g;
/** What only an expression has: a parenthesis, a range, more behind braces, or an operator between blanks. */
const ASKS = /[([]|\}\s*[^\s}]|\s(?:[-+*/%^<>]|[=!<>]=)\s/;

/**
 * The expression in PromQL that is searched for; null where the search is one for words, or a
 * selector. After `=` anything is an expression.
 */
export function expressionIn(search: string): string | null {
  return search.startsWith('=')
    ? search.slice(1)
    : ASKS.test(search.replace(STRINGS, '""'))
      ? search
      : null;
}

/** The search for an expression. */
export function searchFor(expression: string): string {
  return expressionIn(expression) === expression ? expression : `=${expression}`;
}

/**
 * The panels in which every word is found: in the name, the help, or a label. A selector finds
 * those with a series that it matches. If nothing is found, panels with similar names: `ncpu` finds
 * node_cpu, and so does a word with one wrong letter; the most similar first.
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

/**
 * How different a word is from the words of a panel: 0 if it is one of them, infinite if nothing is
 * similar.
 */
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

/** Whether two words differ by one letter: replaced, inserted, left out, or two swapped. */
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

/**
 * The number of letters between the letters of a word, found in this order in a name, that don't
 * begin a part of the name.
 */
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
  // A word whose letters are far apart in the name was not meant.
  return skipped * 2 > word.length ? Number.POSITIVE_INFINITY : skipped;
}
