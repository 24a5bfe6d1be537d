/** Transports whose code is loaded when they are first used. */

import { expect, test } from 'vitest';
import { deferred } from '../../src/client/links/deferred.ts';
import type { End, Link, Listener, Transport } from '../../src/client/links/transport.ts';

const request = () => ({ url: new URL('http://test/v1/stream'), token: null });

/** A transport that notes what is done with it, and the means to have it come or not. */
function made(told = true) {
  const log: string[] = [];
  let come: (transport: Transport) => void = () => {};
  let fail: (error: Error) => void = () => {};
  const coming = new Promise<Transport>((resolve, reject) => {
    [come, fail] = [resolve, reject];
  });
  const transport = deferred({ name: 'sse', hold: 0, told }, () => {
    log.push('load');
    return coming;
  });
  const link: Link = {
    close: () => log.push('close'),
    watch: async () => {
      log.push('watch');
      return null;
    },
  };
  const real: Transport = {
    name: 'sse',
    hold: 0,
    open: () => {
      log.push('open');
      return link;
    },
  };
  const ends: End[] = [];
  const listener: Listener = { received() {}, alive() {}, ended: (end) => ends.push(end) };
  return { log, transport, listener, ends, come: () => come(real), fail };
}

test('nothing is loaded before it is used, and then its links are those of the transport', async () => {
  const { log, transport, listener, come } = made();
  expect(log).toEqual([]);
  const link = transport.open(request, listener);
  expect(log).toEqual(['load']);
  come();
  await Promise.resolve();
  expect(log).toEqual(['load', 'open']);
  expect(await link.watch!({ add: [] } as never, 's')).toBe(null);
  link.close();
  expect(log).toEqual(['load', 'open', 'watch', 'close']);
});

test('a link that was closed before the code came is never opened', async () => {
  const { log, transport, listener, come } = made();
  transport.open(request, listener).close();
  come();
  await Promise.resolve();
  expect(log).toEqual(['load']);
});

test('where the code can’t be had the link ends, once, and says why', async () => {
  const { transport, listener, ends, fail } = made();
  transport.open(request, listener);
  transport.open(request, listener).close();
  fail(new Error('another version'));
  await new Promise((resolve) => setTimeout(resolve));
  expect(ends).toEqual([{ advice: 'back-off', reason: 'another version' }]);
});

test('polls can’t be told of a change', () => {
  const { transport, listener } = made(false);
  expect(transport.open(request, listener).watch).toBeUndefined();
});
