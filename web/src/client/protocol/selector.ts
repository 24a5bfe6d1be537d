/**
 * Which series a selector means, told here as the server would tell it.
 *
 * Subscriptions that share a stream are given what their own selectors mean, and the server doesn't
 * say which of them a series was sent for. So selectors are read here too, but only those of which
 * it is certain that both sides understand the same: plain names and strings, and regexes of the
 * part that RE2 and JavaScript have in common. Any other has a stream to itself, which needs no
 * matching.
 */

import type { Labels } from './documents.ts';

/** Whether a series of this name and these labels is meant. */
export type Matcher = (name: string, labels: Labels) => boolean;

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const STRING = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/.source;
const TERM = new RegExp(
  `^\\s*([a-zA-Z_][a-zA-Z0-9_]*|${STRING})\\s*(=~|!~|!=|=)\\s*(${STRING})\\s*`,
);
/** A metric's name in quotes, which stands by itself among the terms. */
const QUOTED_NAME = new RegExp(`^\\s*(${STRING})\\s*(?=,|$)`);
/** Words that are no metric names in PromQL, or may not be one day: the server decides. */
const RESERVED = /^(inf|nan|atan2|bool|group_left|group_right|ignoring|on|and|or|unless|offset)$/i;

/** What a selector means; null for one that only the server understands, or nobody. */
export function read(selector: string): Matcher | null {
  let rest = selector.trim();
  const terms: ((name: string, labels: Labels) => boolean)[] = [];
  let name = NAME.exec(rest)?.[0];
  if (name !== undefined) {
    if (RESERVED.test(name)) {
      return null;
    }
    terms.push((other) => other === name);
    rest = rest.slice(name.length).trimStart();
  }
  if (rest === '') {
    return name === undefined ? null : all(terms);
  }
  if (!rest.startsWith('{') || !rest.endsWith('}')) {
    return null;
  }
  rest = rest.slice(1, -1);
  while (rest.trim() !== '') {
    const alone = QUOTED_NAME.exec(rest);
    if (alone !== null) {
      const metric = unquote(alone[1]!);
      // Two names, or an empty one: the server says what is wrong with them.
      if (name !== undefined || !metric) {
        return null;
      }
      name = metric;
      terms.push((other) => other === metric);
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
  return terms.length === 0 ? null : all(terms);
}

/** What follows a term and its comma; where neither comma nor end does, what no term begins with. */
function after(rest: string, term: string): string {
  const next = rest.slice(term.length);
  return next === '' ? '' : next.startsWith(',') ? next.slice(1) : `;${next}`;
}

/** A series as PromQL writes it, labels in order: names that it couldn't read stand in quotes. */
export function write(name: string, labels: Labels): string {
  const pairs = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${labelText(label)}=${JSON.stringify(value)}`);
  const bare = NAME.exec(name)?.[0] === name && !RESERVED.test(name);
  if (bare) {
    return pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`;
  }
  return `{${[JSON.stringify(name), ...pairs].join(',')}}`;
}

/** A label's name as PromQL writes it. */
export function labelText(label: string): string {
  return LABEL.test(label) ? label : JSON.stringify(label);
}

function all(terms: readonly Matcher[]): Matcher {
  return (name, labels) => terms.every((term) => term(name, labels));
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

/** The text of a string; null where it has an escape that isn't a plain one. */
function unquote(quoted: string): string | null {
  const inside = quoted.slice(1, -1);
  if (/\\[^\\"']/.test(inside.replaceAll('\\\\', ''))) {
    return null;
  }
  return inside.replace(/\\(.)/g, '$1');
}

// Literals, the dot, groups, alternatives, classes of plain ranges, and one level of repetition:
// the same in RE2 and here. A group that is repeated may take this engine exponential time, and
// many repetitions in a row polynomial time of a high degree, so that neither is tried.
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
