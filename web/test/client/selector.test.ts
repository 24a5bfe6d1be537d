/** Selectors as the client reads them: like the server, or not at all. */

import { describe, expect, test } from 'vitest';
import { parseDuration } from '../../src/client/protocol/duration.ts';
import { learn, read, write } from '../../src/client/protocol/selector.ts';

const matches = (selector: string, name: string, labels = {}): boolean | null =>
  read(selector)?.(name, labels) ?? null;

test.each([
  ['up', 'up', {}, true],
  ['up', 'down', {}, false],
  ['up{}', 'up', { a: 'b' }, true],
  ['up{job="api"}', 'up', { job: 'api' }, true],
  ['up{job="api"}', 'up', { job: 'web' }, false],
  ['up{job="api"}', 'up', {}, false],
  ['up{job!="api",}', 'up', {}, true],
  [' up { job = "api" , host = \'a\' } ', 'up', { job: 'api', host: 'a' }, true],
  ['{__name__=~"node_.*",host=~"web.*"}', 'node_load1', { host: 'web-1' }, true],
  ['{__name__=~"node_.*",host=~"web.*"}', 'node_load1', { host: 'a web' }, false],
  ['{__name__=~".+"}', 'anything', {}, true],
  ['up{host=~"a|b"}', 'up', { host: 'b' }, true],
  ['up{host=~"a|b"}', 'up', { host: 'ab' }, false],
  ['up{host!~"a.*"}', 'up', { host: 'abc' }, false],
  ['up{host=~"a.c"}', 'up', { host: 'a\nc' }, true],
  ['up{host=~"web-[0-9]+"}', 'up', { host: 'web-12' }, true],
  ['up{host=~""}', 'up', {}, true],
  ['up{path="a\\\\b\\"c"}', 'up', { path: 'a\\b"c' }, true],
  ['up{path=~"a\\\\.b"}', 'up', { path: 'a.b' }, true],
  ['up{path=~"a\\\\.b"}', 'up', { path: 'aXb' }, false],
  ['up{name="ключ"}', 'up', { name: 'ключ' }, true],
  ['up{toString=""}', 'up', {}, true],
  ['{"http.server.duration"}', 'http.server.duration', {}, true],
  ['{"http.server.duration"}', 'http.server', {}, false],
  ['{"http.server.duration", "a.b"="c"}', 'http.server.duration', { 'a.b': 'c' }, true],
  ['{"http.server.duration", "a.b"="c"}', 'http.server.duration', { 'a.b': 'd' }, false],
  ['{ \'температура\' , "комната"=~"зал|дом", }', 'температура', { комната: 'зал' }, true],
  ['{job="a","up"}', 'up', { job: 'a' }, true],
  ['up{"job"!="a"}', 'up', { job: 'b' }, true],
  ['{"a\\"b"}', 'a"b', {}, true],
] as const)('%s on %s %o is %s', (selector, name, labels, expected) => {
  expect(matches(selector, name, labels)).toBe(expected);
});

describe('what only the server can tell', () => {
  test.each([
    '',
    '{}',
    'up[5m]',
    'inf',
    'on',
    'up{',
    'up{job}',
    'up{job=api}',
    'up{job="a" host="b"}',
    'up{job="a\\x41"}',
    'up{job=`a`}',
    '{"my.metric","other"}',
    'up{"my.metric"}',
    '{""}',
    '{"my.metric" job="a"}',
    '{"my.metric"',
    'up # comment',
    'up{job=~"(?i)api"}',
    'up{job=~"\\\\pL"}',
    'up{job=~"\\\\s"}',
    'up{job=~"[[:alpha:]]"}',
    'up{job=~"a{2}"}',
    'up{job=~"^a$"}',
    'up{job=~"("}',
    'up{job=~"a**"}',
    // These would keep a backtracking engine busy.
    'up{job=~"(a+)+"}',
    'up{job=~"(a|a)*b"}',
    'up{job=~".*.*.*.*b"}',
  ])('%s', (selector) => {
    expect(read(selector)).toBe(null);
  });
});

test.each([
  ['15m', 900_000],
  ['1h30m', 5_400_000],
  ['500ms', 500],
  [90, 90_000],
  ['90', 90_000],
])('a window of %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['', 'm', '15 m', '0', '-5', '0s', Number.NaN, 'forever'])('%s is no window', (text) => {
  expect(() => parseDuration(text)).toThrow(RangeError);
});

test.each([
  ['up', {}, 'up'],
  ['up', { job: 'api', a: 'x"y' }, 'up{a="x\\"y",job="api"}'],
  ['http.server.duration', {}, '{"http.server.duration"}'],
  ['http.server.duration', { 'a.b': 'c' }, '{"http.server.duration","a.b"="c"}'],
  ['on', {}, '{"on"}'],
])('%s %o is written %s, and read back', (name, labels, text) => {
  expect(write(name, labels)).toBe(text);
  expect(matches(text, name, labels)).toBe(true);
});

describe('expressions', () => {
  const text = ' rate(up[5m]) ';

  test('mean the series that the server says', () => {
    const matcher = read(text)!;
    expect(matcher('rate(up[5m])', {})).toBe(false);
    learn({ expressions: { 'rate(up[5m])': 'rate (up[5m])' } });
    expect(matcher('rate (up[5m])', { job: 'a' })).toBe(true);
    expect(matcher('up', {})).toBe(false);
  });

  test('are results of no selector', () => {
    learn({ expressions: { 'a + b': 'a + b' } });
    expect(read('{job="a"}')!('a + b', { job: 'a' })).toBe(false);
    expect(read('{__name__=~".+"}')!('a + b', {})).toBe(false);
    expect(read('{job="a"}')!('a', { job: 'a' })).toBe(true);
  });

  test.each([
    'a / b',
    'a offset 5m',
    '-a',
    '(a)',
    'sum(a) > 5',
    'a{b="c"} / 5',
    '5',
    'a{b="c"} - d{e="f"}',
    "a{b!~'}'} * on (x) d{e=`{\"`}",
  ])('%s', (text) => {
    expect(read(text)).not.toBeNull();
  });

  test.each(['a{b="c} / d', 'a{b="c"', "a{b='c} - d{e=f}"])('%s is cut off', (text) => {
    expect(read(text)).toBeNull();
  });
});
