/**
 * What may follow in a selector at the caret: names of metrics and labels, and values of labels.
 */

import { labelText, write } from '../../client/protocol/selector.ts';
import { quotedInRegex } from '../../dashboards/filling.ts';
import type { Ask } from './names.ts';

export interface Offer {
  /** The text that is offered. */
  readonly title: string;
  /** The replacement of the text between `from` and `to`, and where the caret is then. */
  readonly text: string;
  readonly caret: number;
}

export interface Completion {
  /** The part of the text that an offer replaces. */
  readonly from: number;
  readonly to: number;
  readonly offers: readonly Offer[];
}

/** What has to be asked for a completion, and how it is made of the answers. */
export interface Plan {
  readonly asks: readonly Ask[];
  /** The completion, from the answer to each of `asks`; null if there is nothing to offer. */
  readonly complete: (found: readonly (readonly string[])[]) => Completion | null;
}

/** As many as people read through; to find another, one types more of it. */
const MOST = 50;
const BARE = /[a-zA-Z0-9_:.]*$/;
/** What stands within the braces before the caret: complete matchers, and the beginning of one. */
const TERMS = /^((?:\s*(?:"(?:[^"\\]|\\.)*"|[^",{}])*,)*)\s*(.*)$/s;
const LABELLED = /^([a-zA-Z_]\w*|"(?:[^"\\]|\\.)*")\s*(=~|!~|!=|=)\s*("((?:[^"\\]|\\.)*))?$/;

/** What may be inserted at the caret; null for nothing. */
export function plan(text: string, caret: number): Plan | null {
  const before = text.slice(0, caret);
  const brace = before.indexOf('{');
  if (brace < 0) {
    return ofMetrics(text, caret);
  }
  if (before.trimEnd().endsWith('}') && !within(before.slice(brace))) {
    return null;
  }
  const [, terms, rest] = TERMS.exec(before.slice(brace + 1))!;
  const name = before.slice(0, brace).trim();
  const others = terms!.trim().replace(/,$/, '');
  const select = name === '' && others === '' ? null : `${name}{${others}}`;
  const value = LABELLED.exec(rest!);
  if (value !== null) {
    const [, label, operator, quoted, written = ''] = value;
    return quoted === undefined
      ? null
      : ofValues(text, caret, select, nameIn(label!), operator!, written);
  }
  const bare = /^[a-zA-Z_]?\w*$/.test(rest!);
  const quoted = /^"((?:[^"\\]|\\.)*)$/.exec(rest!);
  if (!bare && quoted === null) {
    return null;
  }
  const wanted = quoted?.[1] ?? rest!;
  const named = name !== '' || /(^|,)\s*"[^"]*"\s*,/.test(`${terms}`);
  const from = caret - rest!.length;
  const to = caret + /^\w*/.exec(text.slice(caret))![0].length;
  const closes = text.slice(to).trimStart().startsWith('"') ? '' : '"';
  const labels: Ask = { label: null, select, search: unescaped(wanted) };
  // A name that can't stand before the braces is written within them, in quotes.
  const asks = quoted === null || named ? [labels] : [labels, { ...metrics, search: wanted }];
  return {
    asks,
    complete: ([labels = [], metrics = []]) =>
      offering(from, to + (quoted !== null && closes === '' ? 1 : 0), [
        ...ranked(labels, unescaped(wanted))
          .filter((label) => label !== '__name__')
          .map((label) => offer(label, `${labelText(label)}="`)),
        ...ranked(metrics, wanted).map((name) => offer(name, JSON.stringify(name))),
      ]),
  };
}

/** The names of labels of a selector's series. */
export function planLabel(text: string, select: string): Plan {
  return {
    asks: [{ label: null, select: select.trim() === '' ? null : select, search: text }],
    complete: ([labels = []]) =>
      offering(
        0,
        text.length,
        ranked(labels, text)
          .filter((label) => label !== '__name__')
          .map((label) => offer(label, label)),
      ),
  };
}

const metrics: Ask = { label: '__name__', select: null, search: '' };

function ofMetrics(text: string, caret: number): Plan | null {
  const [written] = BARE.exec(text.slice(0, caret))!;
  const from = caret - written.length;
  if (text.slice(0, from).trim() !== '') {
    return null;
  }
  const to = caret + /^[a-zA-Z0-9_:.]*/.exec(text.slice(caret))![0].length;
  return {
    asks: [{ ...metrics, search: written }],
    complete: ([names = []]) =>
      offering(
        from,
        to,
        ranked(names, written).map((name) => offer(name, write(name, {}))),
      ),
  };
}

function ofValues(
  text: string,
  caret: number,
  select: string | null,
  label: string,
  operator: string,
  written: string,
): Plan {
  const regex = operator.endsWith('~');
  // In a list of alternatives the last one is being written.
  const part = regex ? written.slice(written.lastIndexOf('|') + 1) : written;
  const end = /^(?:[^"\\|]|\\.)*/.exec(text.slice(caret))![0];
  const closed = /^(?:[^"\\]|\\.)*"/.test(text.slice(caret));
  const to = closed ? caret + end.length : text.length;
  const after = closed ? '' : '"}';
  const search = unescaped(part);
  return {
    asks: [{ label, select, search }],
    complete: ([values = []]) =>
      offering(
        caret - part.length,
        to,
        ranked(values, search).map((value) => {
          const meant = regex ? quotedInRegex(value) : value;
          const inside = JSON.stringify(meant).slice(1, -1);
          return {
            title: value,
            text: inside + after,
            // After the quote, where a comma and the next matcher follow.
            caret: inside.length + (closed ? (text[to] === '"' ? 1 : 0) : 1),
          };
        }),
      ),
  };
}

function offer(title: string, text: string): Offer {
  return { title, text, caret: text.length };
}

/** Nothing if the only choice stands there already. */
function offering(from: number, to: number, offers: readonly Offer[]): Completion | null {
  return offers.length === 0 ? null : { from, to, offers: offers.slice(0, MOST) };
}

/**
 * The names that contain the written text. Those that begin with it come first, in natural order.
 */
function ranked(names: readonly string[], written: string): string[] {
  const wanted = written.toLowerCase();
  const { compare } = new Intl.Collator('en', { numeric: true });
  const place = (name: string): number => name.toLowerCase().indexOf(wanted);
  return [...names]
    .filter((name) => place(name) >= 0)
    .sort((a, b) => Math.sign(place(a)) - Math.sign(place(b)) || compare(a, b));
}

/** Whether a string is open at the end, so that a brace in it has no meaning. */
function within(text: string): boolean {
  return (text.replace(/\\./g, '').match(/"/g) ?? []).length % 2 === 1;
}

function nameIn(label: string): string {
  return label.startsWith('"') ? unescaped(label.slice(1, -1)) : label;
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, '$1');
}
