/** The page on a living service: charts drawn, values moving, nothing refused by a strict policy. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ARTIFACTS,
  colouredPixels,
  ELSEWHERE,
  expectFreshness,
  IN_FIREFOX,
  launch,
  open,
  points,
} from './browser.ts';
import { Middlebox } from './middlebox.ts';
import { freePort, Server } from './server.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());

describe("on the demo's metrics", () => {
  let demo: Server;
  beforeAll(async () => {
    demo = await Server.start('demo');
  });
  afterAll(() => Server.stopAll());

  test('charts are drawn and move', async () => {
    const { page, failures, close } = await open(browser, demo.url);
    await expectFreshness(page, 'Live');
    expect(await page.locator('.connection .transport').textContent()).toBe('WebSocket');
    await page.getByRole('searchbox').fill('node_cpu_utilization');
    await expect.poll(() => page.locator('.panel').count()).toBe(1);
    await expect.poll(() => colouredPixels(page, 'node_cpu_utilization')).toBeGreaterThan(20);
    const before = await points(page, 'node_cpu_utilization', { cpu: '0' });
    await expect
      .poll(async () => (await points(page, 'node_cpu_utilization', { cpu: '0' })).length, {
        timeout: 30_000,
      })
      .toBeGreaterThan(before.length + 2);
    const series = await page.locator('.figures dd').first().textContent();
    expect(Number(series)).toBeGreaterThanOrEqual(30);
    await expect
      .poll(() => page.locator('.figures dd').nth(1).textContent(), { timeout: 30_000 })
      .toMatch(/^\d+$/);
    expect(failures).toEqual([]);
    await close();
  });

  test('panels are collapsed, hidden and read as tables, which the next visit keeps', async () => {
    const { page, close } = await open(browser, demo.url);
    await expectFreshness(page, 'Live');
    const panel = page.locator('.panel', {
      has: page.getByRole('heading', { name: 'node_load1', exact: true }),
    });
    await panel.scrollIntoViewIfNeeded();
    await panel.locator('canvas').waitFor();
    const count = await page.locator('.panel').count();
    await page.getByRole('button', { name: 'Collapse node_load1', exact: true }).press('Enter');
    await expect.poll(() => panel.locator('canvas').count()).toBe(0);
    await page.getByRole('button', { name: 'Hide node_load5', exact: true }).press('Enter');
    await expect.poll(() => page.locator('.panel').count()).toBe(count - 1);
    expect(await page.getByRole('status').allInnerTexts()).toContain('1 hidden panel');

    const memory = page.locator('.panel', {
      has: page.getByRole('heading', { name: 'node_memory_bytes', exact: true }),
    });
    await page.getByRole('button', { name: 'node_memory_bytes as a table' }).press('Enter');
    await memory.getByRole('table').waitFor();
    expect(await memory.getByRole('columnheader').allInnerTexts()).toEqual([
      'series',
      'last',
      'min',
      'max',
      'mean',
    ]);
    const row = memory.getByRole('row', { name: 'used' });
    await expect.poll(() => row.getByRole('cell').allInnerTexts()).toHaveLength(4);
    expect((await row.getByRole('cell').allInnerTexts())[3]).toMatch(/\d.*[MG]iB/);
    expect(await memory.locator('canvas').count()).toBe(0);

    await page.reload();
    await panel.waitFor();
    await memory.getByRole('table').waitFor();
    await panel.scrollIntoViewIfNeeded();
    expect(await page.locator('.panel').count()).toBe(count - 1);
    expect(await panel.locator('canvas').count()).toBe(0);
    await page.getByRole('button', { name: 'Show node_load5' }).press('Enter');
    await page.getByRole('button', { name: 'Collapse node_load1', exact: true }).press('Enter');
    await expect.poll(() => page.locator('.panel').count()).toBe(count);
    await panel.locator('canvas').waitFor();
    await close();
  });

  test('a strict Content-Security-Policy forbids nothing that it needs', async () => {
    const middlebox = await Middlebox.start(demo.url, { policy: "default-src 'self'" });
    const { page, failures, close } = await open(browser, middlebox.url);
    await expectFreshness(page, 'Live');
    await expect.poll(() => page.locator('.panel canvas').count()).toBeGreaterThan(3);
    expect(failures).toEqual([]);
    await close();
    middlebox.stop();
  });

  test('a wider window is filled in from the history, and the choice is kept', async () => {
    const now = Date.now();
    await demo.publish(
      ...Array.from({ length: 120 }, (_, index) => ({
        name: 'tide',
        value: index,
        time: now - (120 - index) * 29_000,
      })),
    );
    const { page, close } = await open(browser, demo.url);
    await expect.poll(async () => (await points(page, 'tide')).length).toBeGreaterThan(20);
    expect((await points(page, 'tide'))[0]![0]).toBeGreaterThan(now - 16 * 60_000);
    await page.getByRole('radio', { name: '1h', exact: true }).check();
    await expect.poll(async () => (await points(page, 'tide')).length).toBe(120);
    await page.reload();
    await expect.poll(async () => (await points(page, 'tide')).length).toBe(120);
    expect(await page.getByRole('radio', { name: '1h', exact: true }).isChecked()).toBe(true);
    await close();
  });
});

test.skipIf(IN_FIREFOX)('under a name of its own messages are compressed, and arrive', async () => {
  const port = freePort();
  const elsewhere = `http://${ELSEWHERE}:${port}`;
  await Server.start('demo', port, { PUSHSVC_WEB_ORIGINS: elsewhere });
  const { page, close } = await open(browser, 'about:blank');
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  const agreed = new Promise<string | undefined>((resolve) => {
    session.on('Network.webSocketHandshakeResponseReceived', ({ response }) =>
      resolve(response.headers['Sec-WebSocket-Extensions']),
    );
  });
  await page.goto(elsewhere);
  await expectFreshness(page, 'Live');
  expect(await agreed).toContain('permessage-deflate');
  await expect
    .poll(async () => (await points(page, 'node_load1')).length, { timeout: 30_000 })
    .toBeGreaterThan(3);
  await close();
  await Server.stopAll();
});

describe('on an empty server', () => {
  let server: Server;
  beforeAll(async () => {
    server = await Server.start();
  });
  afterAll(() => Server.stopAll());

  test('it says how to publish, and the command works as it stands', async () => {
    const { page, failures, close } = await open(browser, server.url);
    await page.getByRole('heading', { name: 'No series yet' }).waitFor();
    await page.setViewportSize({ width: 390, height: 844 });
    await page.screenshot({ path: `${ARTIFACTS}/empty-phone.png` });
    const widest = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(widest).toBe(390);
    expect(await page.getByRole('button', { name: 'Copy' }).isVisible()).toBe(true);
    const command = (await page.locator('.command pre').textContent())!;
    const [, url, type, body] = /curl (\S+) [\s\S]*-H '(.*?)'[\s\S]*-d '(.*)'/.exec(command)!;
    const [header, value] = type!.split(': ');
    const answer = await fetch(url!, {
      method: 'POST',
      headers: { [header!]: value! },
      body: body!,
    });
    expect(answer.status).toBe(200);
    await page.getByRole('heading', { name: 'room_temperature' }).waitFor();
    expect(await page.locator('.panel .figure').textContent()).toBe('21.5\u202f°C');
    // A single sample is a dot.
    await expect.poll(() => colouredPixels(page, 'room_temperature')).toBeGreaterThan(4);
    expect(failures).toEqual([]);
    await close();
  });

  test('states, odd values and many lines are shown', async () => {
    const many = Array.from({ length: 300 }, (_, index) => ({
      name: 'queue_length',
      labels: { queue: `q${index}` },
      value: index,
    }));
    await server.publish(
      ...many,
      { name: 'deploy_phase', labels: { service: 'api' }, value: 'rolling', kind: 'state' },
      { name: 'deploy_phase', labels: { service: 'web' }, value: null, kind: 'state' },
      { name: 'deploy_phase', labels: { service: 'db' }, value: true, kind: 'state' },
    );
    const { page, failures, close } = await open(browser, server.url);
    const panel = page.locator('.panel', { hasText: 'queue_length' });
    await panel.getByText('40 of 300 lines are drawn').waitFor();
    expect(await panel.locator('.legend li').count()).toBe(8);
    // Ranked once all have come, which Firefox may show in several frames.
    await expect
      .poll(() => panel.locator('.legend li').first().textContent(), { timeout: 30_000 })
      .toContain('q299');
    await panel.getByRole('button', { name: '292 more' }).click();
    expect(await panel.locator('.legend li').count()).toBe(300);
    const states = page.locator('.panel', { hasText: 'deploy_phase' }).locator('.states li');
    expect(await states.allTextContents()).toEqual(['apirolling', 'dbtrue']);
    await page.getByRole('searchbox').fill('no such thing');
    await page.getByRole('button', { name: /Show all/ }).click();
    await states.first().waitFor();
    expect(failures).toEqual([]);
    await close();
  });
});
