/** One server after the other, and several at once. */

import { expect, test } from 'vitest';
import { Epochs } from '../../src/client/stream/epochs.ts';

test('restarts, however many, are of one server', () => {
  const epochs = new Epochs();
  for (const [at, epoch] of ['a', 'a', 'b', 'c', 'd'].entries()) {
    epochs.met(epoch, at);
    expect(epochs.several(at)).toBe(false);
  }
});

test('an epoch that comes back is of another server, and is told of for a minute', () => {
  const epochs = new Epochs();
  for (const epoch of ['a', 'b', 'a']) {
    epochs.met(epoch, 1000);
  }
  expect(epochs.several(1000)).toBe(true);
  expect(epochs.several(60_999)).toBe(true);
  expect(epochs.several(61_000)).toBe(false);
  epochs.met('b', 70_000);
  expect(epochs.several(70_000)).toBe(true);
});

test('three servers in turn are seen as well', () => {
  const epochs = new Epochs();
  for (const epoch of ['a', 'b', 'c', 'a']) {
    epochs.met(epoch, 0);
  }
  expect(epochs.several(0)).toBe(true);
});
