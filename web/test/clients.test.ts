import { expect, test } from 'vitest';
import { ago, healthOf, inOrder, type Producer, refusedOf } from '../src/clients/model.ts';

const NOW = 10_000_000;

const producer = (more: Partial<Producer> = {}): Producer => ({
  format: 'otlp',
  producer: '192.0.2.1',
  kind: 'address',
  key: '',
  agent: '',
  address: '192.0.2.1',
  first_ms: 0,
  last_ms: NOW,
  requests: 1200,
  samples: 5,
  rate: 1,
  refused: 0,
  refused_requests: 0,
  error: null,
  ...more,
});
const error = (at_ms: number) => ({ at_ms, code: 'token', message: 'no' });

test.each([
  ['ok', producer()],
  ['silent', producer({ last_ms: NOW - 121_000 })],
  ['refused', producer({ error: error(NOW - 1000) })],
  ['refused', producer({ last_ms: NOW - 200_000, error: error(NOW - 200_000) })],
  ['ok', producer({ error: error(NOW - 301_000) })],
] as const)('one is %s', (health, one) => {
  expect(healthOf(one, NOW)).toBe(health);
});

test('those that need a look come first, and nobody else changes places', () => {
  const all = [
    producer({ agent: 'b', first_ms: 2 }),
    producer({ agent: 'silent', last_ms: 0, first_ms: 3 }),
    producer({ agent: 'a', first_ms: 1, last_ms: NOW - 500 }),
    producer({ agent: 'refused', error: error(NOW), first_ms: 4 }),
  ];
  const told = { count: 4, forgotten: 0, now_ms: NOW, producers: all };
  expect(inOrder(told).map(({ agent }) => agent)).toEqual(['refused', 'silent', 'a', 'b']);
});

test('what was refused is counted in words', () => {
  expect(refusedOf(producer())).toBeNull();
  expect(refusedOf(producer({ refused: 3 }))).toBe('3 samples or lines');
  expect(refusedOf(producer({ refused: 3, refused_requests: 7 }))).toMatch(
    /^7 of 1\.20\sk requests, 3 samples or lines$/,
  );
});

test('a time that has just been is now', () => {
  expect(ago(900)).toBe('now');
  expect(ago(61_000)).toMatch(/^1\smin ago$/);
});
