import { describe, expect, test } from 'vitest';
import { read } from '../../src/client/protocol/selector.ts';
import { type Completion, type Plan, plan, planLabel } from '../../src/editor/model/completion.ts';
import type { Ask } from '../../src/editor/model/names.ts';

interface Named {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

const series = [
  { name: 'cpu_usage', labels: { core: '0', host: 'a' } },
  { name: 'cpu_usage', labels: { core: '10', host: 'b' } },
  { name: 'cpu_usage', labels: { core: '2', host: 'b' } },
  { name: 'requests', labels: { path: '/a"b' } },
  { name: 'http.server.duration', labels: { 'a.b': 'зал' } },
  { name: 'on', labels: {} },
];

/** What a server with these series says. */
function answer({ label, select, search }: Ask, series: readonly Named[]): string[] {
  const means = select === null ? () => true : read(select)!;
  const meant = series.filter(({ name, labels }) => means(name, labels));
  const all = meant.flatMap(({ name, labels }) => {
    const named: Record<string, string> = { ...labels, __name__: name };
    return label === null ? Object.keys(named) : label in named ? [named[label]!] : [];
  });
  return [...new Set(all)].filter((one) => one.toLowerCase().includes(search.toLowerCase()));
}

function follow(plan: Plan | null, all: readonly Named[] = series): Completion | null {
  return plan && plan.complete(plan.asks.map((ask) => answer(ask, all)));
}

/** What is offered where the bar stands. */
function offered(text: string): string[] {
  const caret = text.indexOf('|');
  const found = follow(plan(text.replace('|', ''), caret));
  return found?.offers.map(({ title }) => title) ?? [];
}

/** The text with the first offer taken; the bar is the caret. */
function taken(text: string): string {
  const caret = text.indexOf('|');
  const plain = text.replace('|', '');
  const { from, to, offers } = follow(plan(plain, caret))!;
  const at = from + offers[0]!.caret;
  const next = plain.slice(0, from) + offers[0]!.text + plain.slice(to);
  return `${next.slice(0, at)}|${next.slice(at)}`;
}

describe('what is offered', () => {
  test.each([
    ['|', ['cpu_usage', 'http.server.duration', 'on', 'requests']],
    ['cpu|', ['cpu_usage']],
    // Those that begin so come first.
    ['r|', ['requests', 'http.server.duration']],
    ['server.d|', ['http.server.duration']],
    ['cpu_usage{|', ['core', 'host']],
    ['cpu_usage{h|', ['host']],
    ['{|', ['a.b', 'core', 'host', 'path']],
    ['{"http|', ['http.server.duration']],
    ['{"http.server.duration",|', ['a.b']],
    ['{"http.server.duration","a|', ['a.b']],
    // As people count, and only what the other terms leave.
    ['cpu_usage{core="|', ['0', '2', '10']],
    ['cpu_usage{host="b",core="|"}', ['2', '10']],
    ['cpu_usage{host=~"a|"}', ['a']],
    ['{"http.server.duration","a.b"="|', ['зал']],
    ['{__name__="on|', ['on', 'http.server.duration']],
    ['cpu_usage{host|="b"}', ['host']],
    ['nothing|', []],
    ['cpu_usage{host=|', []],
    ['cpu_usage{host="b"|}', []],
    ['cpu_usage{host="b"}|', []],
    ['rate(cpu|', []],
  ] as const)('%s', (text, expected) => {
    expect(offered(text)).toEqual(expected);
  });
  test('names of labels alone', () => {
    expect(follow(planLabel('o', ''))?.offers.map(({ text }) => text)).toEqual(['core', 'host']);
    expect(follow(planLabel('', 'requests'))?.offers.map(({ text }) => text)).toEqual(['path']);
  });
});

test.each([
  ['cpu|', 'cpu_usage|'],
  // What couldn't stand before the braces stands in them.
  ['server.d|', '{"http.server.duration"}|'],
  ['on|', '{"on"}|'],
  ['cpu_usage{c|', 'cpu_usage{core="|'],
  ['cpu_usage{core="1|', 'cpu_usage{core="10"|}'],
  ['cpu_usage{core="1|"}', 'cpu_usage{core="10"|}'],
  ['cpu_usage{core="|0",host="b"}', 'cpu_usage{core="0"|,host="b"}'],
  ['{"http|', '{"http.server.duration"|'],
  ['{"http.server.duration",|', '{"http.server.duration","a.b"="|'],
  ['{"http.server.duration","a|"', '{"http.server.duration","a.b"="|'],
  ['requests{path="|', 'requests{path="/a\\"b"|}'],
])('%s becomes %s', (before, after) => {
  expect(taken(before)).toBe(after);
});

test('alternatives of a regular expression are written one after the other, and as they are', () => {
  const dotted = [{ name: 'up', labels: { host: 'a.b' } }, ...series];
  const text = 'up{host=~"x|';
  const found = follow(plan(text, text.length), dotted)!;
  expect(text.slice(0, found.from) + found.offers[0]!.text).toBe('up{host=~"x|a\\\\.b"}');
});
