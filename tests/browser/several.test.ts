/** Two servers that know nothing of each other behind one address: said, and never stormed. */

import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { RoundRobin } from './balancer.ts';
import { ARTIFACTS, expectFreshness, LONG, launch, open } from './browser.ts';
import { Server } from './server.ts';

let browser: Browser;
let servers: Server[];
let publishing: ReturnType<typeof setInterval>;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  servers = await Promise.all([Server.start(), Server.start()]);
  // News all the time, so that no answer waits for some.
  publishing = setInterval(() => {
    for (const server of servers) {
      server.publish({ name: 'steps', value: Math.random() }).catch(() => {});
    }
  }, 50);
});
afterEach(async () => {
  clearInterval(publishing);
  await Server.stopAll();
});

describe.each([
  ['long poll', /websocket|event-stream/],
  ['SSE', /websocket/],
  ['WebSocket', null],
] as const)('a page on %s', (name, refused) => {
  test('asks no more often than it must', LONG, async () => {
    const balancer = new RoundRobin(
      servers.map(({ url }) => url),
      refused,
    );
    const url = await balancer.start();
    const { page, failures, close } = await open(browser, url);
    await expectFreshness(page, 'Live');
    await expect.poll(() => page.locator('.connection .transport').textContent()).toBe(name);
    if (name === 'long poll') {
      await page.getByText('Several servers that don’t share a journal').waitFor();
      await page.screenshot({ path: `${ARTIFACTS}/several.png` });
    }
    const before = balancer.streams;
    await new Promise((resolve) => setTimeout(resolve, 8000));
    // Polls that are held, and once in a while a try of something better: without the one it would
    // be a hundred a second.
    expect(balancer.streams - before).toBeLessThanOrEqual(name === 'long poll' ? 24 : 3);
    expect(failures).toEqual([]);
    await close();
    balancer.stop();
  });
});

test("a browser's own EventSource", async () => {
  const balancer = new RoundRobin(servers.map(({ url }) => url));
  const url = await balancer.start();
  const { page, close } = await open(browser, `${url}/livez`);
  await page.evaluate(() => {
    new EventSource('/v1/stream?select=steps');
  });
  await new Promise((resolve) => setTimeout(resolve, 5000));
  expect(balancer.streams).toBe(1);
  await close();
  balancer.stop();
});
