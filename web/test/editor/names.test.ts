/** What is asked of the server while somebody writes, and what isn't. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Names } from '../../src/editor/model/names.ts';

const asked: URL[] = [];
let answer: unknown;
const { signal } = new AbortController();

beforeEach(() => {
  vi.useFakeTimers();
  asked.length = 0;
  vi.stubGlobal('fetch', async (url: URL) => {
    asked.push(url);
    const { searchParams } = url;
    return new Response(JSON.stringify(searchParams.has('select') ? { status: 400 } : answer));
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const names = () => new Names(new URL('http://here/base/'));
const metrics = (search: string) => ({ label: '__name__', select: null, search });

test('what all of was said is not asked for again while more is written', async () => {
  const one = names();
  answer = { values: ['cpu', 'cpu_load'], total: 2 };
  expect(one.recall(metrics('c'))).toBeNull();
  expect(await one.find(metrics('c'), signal)).toEqual(['cpu', 'cpu_load']);
  expect(asked[0]!.href).toBe('http://here/base/v1/label_values?limit=51&label=__name__&search=c');
  expect(one.recall(metrics('CPU'))).toEqual(['cpu', 'cpu_load']);
  expect(await one.find(metrics('cpu_'), signal)).toEqual(['cpu', 'cpu_load']);
  expect(asked).toHaveLength(1);
  // Not for ever, and not for something else.
  expect(one.recall(metrics('m'))).toBeNull();
  vi.advanceTimersByTime(31_000);
  expect(one.recall(metrics('cpu'))).toBeNull();
});

test('of more than are told, those are asked for that have what is written in them', async () => {
  const one = names();
  answer = { values: ['m1', 'm2'], total: 5_000 };
  await one.find(metrics('m'), signal);
  expect(one.recall(metrics('m'))).toEqual(['m1', 'm2']);
  expect(one.recall(metrics('m4'))).toBeNull();
  expect(one.guess(metrics('m4'))).toEqual(['m1', 'm2']);
  answer = { values: ['m4'], total: 1 };
  expect(await one.find(metrics('m4'), signal)).toEqual(['m4']);
});

test('what is no selector yet leaves nothing out, and a server that says nothing offers none', async () => {
  const one = names();
  answer = { labels: ['host'], total: 1 };
  expect(await one.find({ label: null, select: 'up{', search: '' }, signal)).toEqual(['host']);
  expect(asked.map(({ search }) => search)).toEqual(['?limit=51&select=up%7B', '?limit=51']);
  answer = { detail: 'no' };
  expect(await one.find(metrics('x'), signal)).toEqual([]);
  expect(one.recall(metrics('x'))).toBeNull();
});

test('what is asked for no more is given up', async () => {
  const ending = new AbortController();
  vi.stubGlobal('fetch', async () => {
    ending.abort();
    throw new DOMException('aborted', 'AbortError');
  });
  await expect(names().find(metrics('x'), ending.signal)).rejects.toThrow('aborted');
});
