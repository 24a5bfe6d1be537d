/** The page of all metrics asks for what is in sight, and a little more, where there is much. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectFreshness, launch, open, points } from './browser.ts';
import { Server } from './server.ts';

const METRICS = Array.from({ length: 300 }, (_, at) => `metric_${String(at).padStart(3, '0')}`);
const PATIENT = { timeout: 10_000 };

let browser: Browser;
let server: Server;
let publishing: ReturnType<typeof setInterval>;
beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  const now = Date.now();
  for (const back of [600_000, 400_000, 200_000]) {
    await server.publish(...METRICS.map((name) => ({ name, value: 1, time: now - back })));
  }
  const publish = () => server.publish(...METRICS.map((name) => ({ name, value: Math.random() })));
  await publish();
  publishing = setInterval(() => void publish().catch(() => {}), 500);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
});

test('of 300 metrics those in sight are streamed, and others with their past when they come', async () => {
  const { page, failures, close } = await open(browser, 'about:blank');
  let received = '';
  const said: string[] = [];
  page.on('websocket', (socket) => {
    socket.on('framesent', ({ payload }) => said.push(String(payload)));
    socket.on('framereceived', ({ payload }) => (received += payload));
  });
  await page.goto(server.url);
  await expectFreshness(page, 'Live');
  await expect
    .poll(async () => (await points(page, 'metric_000')).length, PATIENT)
    .toBeGreaterThan(5);
  expect(await page.locator('.figures dd').first().textContent()).toBe('300');
  expect(await page.locator('article.panel').count()).toBe(300);
  const described = () => new Set(received.match(/"metric_\d+"/g)).size;
  expect(described()).toBeLessThan(60);
  expect(received).not.toContain('"metric_200"');

  const before = said.length;
  await page.locator('article.panel').nth(200).scrollIntoViewIfNeeded();
  await expect
    .poll(async () => (await points(page, 'metric_200'))[0]?.[0] ?? Number.NaN, PATIENT)
    .toBeLessThan(Date.now() - 500_000);
  expect(said.slice(before).filter((text) => text.includes('watch')).length).toBeLessThan(4);
  await expectFreshness(page, 'Live');
  expect(described()).toBeLessThan(120);

  // One that is new is found.
  await server.publish({ name: 'novel', value: 1 });
  await expect.poll(() => page.getByRole('article', { name: 'novel' }).count(), PATIENT).toBe(1);

  // What is searched for is asked for alone, after a while; and all comes back.
  await page.getByRole('searchbox').fill('metric_100');
  await expect
    .poll(async () => (await points(page, 'metric_100'))[0]?.[0] ?? Number.NaN, PATIENT)
    .toBeLessThan(Date.now() - 500_000);
  await page.waitForTimeout(21_500);
  await expect.poll(() => JSON.parse(said.at(-1)!).select, PATIENT).toHaveLength(1);
  await page.getByRole('searchbox').fill('');
  await page.evaluate(() => scrollTo(0, 0));
  await expect
    .poll(async () => (await points(page, 'metric_000')).at(-1)?.[0] ?? 0, PATIENT)
    .toBeGreaterThan(Date.now() - 3_000);
  expect((await points(page, 'metric_000'))[0]![0]).toBeLessThan(Date.now() - 500_000);
  await expectFreshness(page, 'Live');
  expect(failures).toEqual([]);
  await close();
});
