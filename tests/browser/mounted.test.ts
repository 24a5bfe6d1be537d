/** The page and the API within an app of somebody else, below a path of it: `pushsvc.mount`. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectFreshness, launch, open, panel } from './browser.ts';
import { Middlebox } from './middlebox.ts';
import { Server } from './server.ts';

const BELOW = '/tools/push';
let browser: Browser;
let server: Server;
let publishing: ReturnType<typeof setInterval>;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.run(['tests.browser.mounted'], BELOW)]);
  const publish = () =>
    server.publish(
      { name: 'load', labels: { host: 'a' }, value: Math.random() },
      { name: 'load', labels: { host: 'b' }, value: Math.random() },
    );
  await publish();
  publishing = setInterval(publish, 250);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
});

test('the page, what it asks for and what it streams lie below it', async () => {
  const { page, failures, close } = await open(browser, 'about:blank');
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('websocket', (socket) => asked.push(socket.url().replace('ws:', 'http:')));
  const origin = new URL(server.url).origin;

  await page.goto(`${server.url}/`);
  await panel(page, 'load').waitFor();
  await expectFreshness(page, 'Live');
  expect(await page.locator('.transport').textContent()).toContain('WebSocket');

  await page.goto(`${server.url}/docs`);
  await page.locator('article[id="websocket-stream"]').waitFor();

  expect(asked.length).toBeGreaterThan(5);
  expect(asked.filter((url) => !url.startsWith(`${server.url}/`))).toEqual([]);
  expect(failures).toEqual([]);

  // The app itself is where it was.
  await page.goto(`${origin}/`);
  expect(await page.textContent('body')).toBe('a page of its own');
  await close();
});

test('a stream over SSE is asked for more by requests beside it', async () => {
  const middlebox = await Middlebox.start(new URL(server.url).origin, { websocket: true });
  const url = `${middlebox.url}${BELOW}`;
  const { page, close } = await open(browser, 'about:blank');
  const statuses: number[] = [];
  page.on('response', (answer) => {
    const beside = answer.request().method() === 'POST';
    if (beside && new URL(answer.url()).pathname.startsWith(`${BELOW}/v1/stream/`)) {
      statuses.push(answer.status());
    }
  });
  await page.goto(`${url}/`);
  await panel(page, 'load').waitFor();
  await expectFreshness(page, 'Live');
  expect(await page.locator('.connection .transport').textContent()).toBe('SSE');
  // A text, since the compiler of this test would make another thing of an import.
  const hosts = await page.evaluate(`import('${url}/client.js').then(({ connect }) => {
    const client = connect();
    const first = (select) => new Promise((resolve) => {
      client.subscribe(select, { onPoints: ([point]) => resolve(point.series.labels.host) });
    });
    return first('load{host="a"}').then(async (host) => [host, await first('load{host="b"}')]);
  })`);
  expect(hosts).toEqual(['a', 'b']);
  await expect.poll(() => statuses.length).toBeGreaterThan(0);
  expect(statuses.filter((status) => status >= 400)).toEqual([]);
  await close();
  middlebox.stop();
});
