import { expect, test } from 'vitest';
import { selectorAt } from '../../src/editor/model/promql.ts';

/** `|` is the caret; what is said to be the selector is between the marks. */
test.each([
  ['load|', null],
  ['sum(load{|})', '«load{»'],
  ['sum(load{job="a", |}) / load', '«load{job="a", »'],
  ['sum(load{job="|)', '«load{job="»'],
  ['sum(load{job="|})', '«load{job="}»'],
  ['a{x="{"} + b{y="|"}', '«b{y="»'],
  ['{"http.requests", |', '«{"http.requests", »'],
  ['a{x="1"} + |', null],
  ['# it has a {\nload|', null],
  ["a{x='\\'{'} + |", null],
])('of %s', (written, span) => {
  const pos = written.indexOf('|');
  const text = written.replace('|', '');
  const found = selectorAt(text, pos);
  const marked =
    found && `«${text.slice(found.from, Math.max(pos, span?.endsWith('}»') ? found.to : pos))}»`;
  expect(marked).toBe(span);
});
