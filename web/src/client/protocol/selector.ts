/**
 * Matches series by selectors, with the same result as on the server.
 *
 * Each of the subscriptions that share a stream is given the series that its own selectors select,
 * and the server doesn't tell for which of them it sends a series. So selectors are evaluated here
 * too, but only those that certainly mean the same on both sides: simple names and strings, and
 * regexes of the part that RE2 and JavaScript have in common. A subscription with any other
 * selector has a stream to itself, which needs no matching.
 *
 * An expression is none of these: its results are series with a name that `hello` tells.
 */

import type { Labels } from './documents.ts';

/** Whether a selector selects the series of this name and these labels. */
export type Matcher = (name: string, labels: Labels) => boolean;

const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const STRING = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/.source;
const TERM = new RegExp(
  `^\\s*([a-zA-Z_][a-zA-Z0-9_]*|${STRING})\\s*(=~|!~|!=|=)\\s*(${STRING})\\s*`,
);
const STRINGS = new RegExp(`${STRING}|\`[^\`]*\``, 'g');
/** A metric's name in quotes, which stands by itself among the terms. */
const QUOTED_NAME = new RegExp(`^\\s*(${STRING})\\s*(?=,|$)`);
/** Words that are not metric names in PromQL, or may become keywords: the server decides. */
const RESERVED = /^(inf|nan|atan2|bool|group_left|group_right|ignoring|on|and|or|unless|offset)$/i;

/** A selector's shape: a name, and terms. */
const SHAPE = new RegExp(`^([a-zA-Z_:][\\w:]*)?\\s*(\\{(?:[^{}"']|${STRING})*\\})?$`);
/** What else is asked for: an expression, unless it has a comment or is cut off. */
const EXPRESSION = /^[^#]*[\w)}]$/;

/** The names of expressions' results, by how the expressions are written. */
export const results: Record<string, string> = {};

/** Take note of names of results: `hello` says them, or what comes of a poll. */
export function learn({ expressions }: { readonly expressions?: unknown }): void {
  Object.assign(results, expressions);
}

/** Whether this has the shape of a selector rather than of an expression. */
export function isSelector(text: string): boolean {
  return SHAPE.test(text.trim());
}

/** Parse a selector; null for one that is wrong, or that only the server can evaluate. */
export function read(selector: string): Matcher | null {
  const written = selector.trim();
  const shape = SHAPE.exec(written);
  if (shape === null) {
    const whole = EXPRESSION.test(written) && !/["']/.test(written.replace(STRINGS, ''));
    return whole ? (other) => other === results[written] : null;
  }
  const terms: Matcher[] = [];
  let [, name, rest = '{}'] = shape;
  if (name !== undefined && RESERVED.test(name)) {
    return null;
  }
  rest = rest.slice(1, -1);
  while (rest.trim() !== '') {
    const alone = QUOTED_NAME.exec(rest);
    if (alone !== null) {
      const metric = unquote(alone[1]!);
      // Two names, or an empty one: the server tells what is wrong.
      if (name !== undefined || !metric) {
        return null;
      }
      name = metric;
      rest = after(rest, alone[0]);
      continue;
    }
    const found = TERM.exec(rest);
    if (found === null) {
      return null;
    }
    const [whole, written, operator, quoted] = found;
    const label = LABEL.test(written!) ? written : unquote(written!);
    const accepts = condition(operator!, unquote(quoted!));
    if (accepts === null || !label) {
      return null;
    }
    terms.push(
      label === '__name__'
        ? (other) => accepts(other)
        : // A label that a series doesn't have counts as empty.
          (_, labels) => accepts(Object.hasOwn(labels, label) ? labels[label]! : ''),
    );
    rest = after(rest, whole);
  }
  return name === undefined && terms.length === 0
    ? null
    : (other, labels) =>
        (name ?? other) === other &&
        !Object.values(results).includes(other) &&
        terms.every((term) => term(other, labels));
}

/**
 * The text after a term and its comma. Without comma or end it is text that no term begins with.
 */
function after(rest: string, term: string): string {
  const next = rest.slice(term.length);
  return next === '' ? '' : next.startsWith(',') ? next.slice(1) : `;${next}`;
}

/** A series in PromQL's notation, labels sorted, with quotes around names that need them. */
export function write(name: string, labels: Labels): string {
  const pairs = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${labelText(label)}=${JSON.stringify(value)}`);
  const bare = SHAPE.exec(name)?.[1] === name && !RESERVED.test(name);
  if (bare) {
    return pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`;
  }
  return `{${[JSON.stringify(name), ...pairs].join(',')}}`;
}

/** A label's name in PromQL's notation. */
export function labelText(label: string): string {
  return LABEL.test(label) ? label : JSON.stringify(label);
}

function condition(operator: string, value: string | null): ((text: string) => boolean) | null {
  if (value === null) {
    return null;
  }
  if (operator === '=' || operator === '!=') {
    return (text) => (text === value) === (operator === '=');
  }
  const regex = compile(value);
  return regex && ((text) => regex.test(text) === (operator === '=~'));
}

/** The text of a string literal; null if it has an escape other than the simple ones. */
function unquote(quoted: string): string | null {
  const inside = quoted.slice(1, -1);
  if (/\\[^\\"']/.test(inside.replaceAll('\\\\', ''))) {
    return null;
  }
  return inside.replace(/\\(.)/g, '$1');
}

// Literals, the dot, groups, alternatives, classes of simple ranges, and one level of repetition
// mean the same in RE2 and in JavaScript. A repeated group may take this engine exponential time,
// and many repetitions in a row polynomial time of a high degree: both are left to the server.
const PLAIN =
  /^(?:[^\\.+*?()[\]{}^$|]|\\[.+*?()[\]{}^$|\\/-]|\\[dw]|\.|[*+?]|\||\((?:\?:)?|\)(?![*+?{])|\[\^?(?:[\p{L}\p{N} _:.,/@]-[\p{L}\p{N}]|[\p{L}\p{N} _:.,/@])+\])*$/u;
const MOST_REPETITIONS = 3;

function compile(pattern: string): RegExp | null {
  if (!PLAIN.test(pattern) || /[*+?][*+?]/.test(pattern.replace(/\\./g, '_'))) {
    return null;
  }
  if ((pattern.replace(/\\./g, '_').match(/[*+]/g) ?? []).length > MOST_REPETITIONS) {
    return null;
  }
  try {
    // A selector's regexes match whole values, and their dot any character.
    return new RegExp(`^(?:${pattern.replaceAll('\\-', '-')})$`, 'su');
  } catch {
    return null;
  }
}
