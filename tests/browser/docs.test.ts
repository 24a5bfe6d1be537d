/** The API, to be read: every operation and every channel, under any path. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, LONG, launch, open, violations } from './browser.ts';
import { Server } from './server.ts';

const UNDER = '/some/path';
let browser: Browser;
let server: Server;
beforeAll(async () => {
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_SERVER_BASE_PATH: UNDER }),
  ]);
});
afterAll(async () => {
  await Server.stopAll();
  await browser?.close();
});

/** By its id: to work out the names of all articles takes a browser seconds. */
function entry(page: Page, id: string) {
  return page.locator(`article[id="${id}"]`);
}

test('all operations and channels are there, with nothing from anywhere else', async () => {
  const { page, failures, close } = await open(browser, 'about:blank');
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(`${server.url}${UNDER}/docs`);
  await entry(page, 'websocket-stream').waitFor();
  const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(operations.length).toBeGreaterThan(20);
  const shown = await page.locator('article h3').allTextContents();
  for (const operation of operations) {
    expect(shown.filter((name) => name === operation)).toHaveLength(1);
  }
  const samples = entry(page, 'http-samples');
  expect(await samples.innerText()).toContain('Idempotency-Key');
  expect(await samples.innerText()).toContain('a token by: bearer, basic');
  expect(await entry(page, 'http-livez').innerText()).toContain('Open: no token is asked for.');
  expect(asked.every((url) => url.startsWith(`${server.url}${UNDER}/`))).toBe(true);
  expect(failures).toEqual([]);
  await close();
});

test('the sheet of keys leads from every page to the API', async () => {
  const { page, failures, close } = await open(browser, `${server.url}${UNDER}/d/host`);
  await page.locator('.panel').first().waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog').getByRole('link', { name: 'The API of this service' }).click();
  await entry(page, 'websocket-stream').waitFor();
  expect(page.url()).toBe(`${server.url}${UNDER}/docs`);
  expect(failures).toEqual([]);
  await close();
});

test('what is linked is shown, and its address leads there again', async () => {
  const { page, failures, close } = await open(browser, `${server.url}${UNDER}/docs`, {
    viewport: { width: 1440, height: 900 },
  });
  const refusal = entry(page, 'http-samples')
    .getByRole('link', { name: 'ProblemDocument' })
    .first();
  await refusal.click();
  const url = `${server.url}${UNDER}/docs#http-type-ProblemDocument`;
  expect(page.url()).toBe(url);
  const problem = entry(page, 'http-type-ProblemDocument');
  await expect.poll(() => problem.evaluate((one) => one === document.activeElement)).toBe(true);
  await page.reload();
  await expect
    .poll(() => problem.evaluate((one) => Math.abs(one.getBoundingClientRect().top) < 200))
    .toBe(true);
  await page.getByPlaceholder('Search').fill('idempotency-key');
  await expect.poll(() => page.locator('article').count()).toBe(1);
  // What the search leaves out is there again where it is linked.
  await entry(page, 'http-samples')
    .getByRole('link', { name: 'Samples', exact: true })
    .first()
    .click();
  const samples = entry(page, 'http-type-Samples');
  await expect.poll(() => samples.evaluate((one) => one === document.activeElement)).toBe(true);
  await page.getByPlaceholder('Search').fill('nothing of this kind');
  await page.getByRole('status').getByText('There is nothing with these words').waitFor();
  expect(failures).toEqual([]);
  await close();
});

for (const [colorScheme, width, often] of [
  ['light', 1440, {}],
  ['dark', 1440, LONG],
  ['light', 390, LONG],
] as const) {
  test(`axe finds nothing in the ${colorScheme} theme, at ${width} pixels`, often, async () => {
    const { page, close } = await open(browser, `${server.url}${UNDER}/docs`, {
      viewport: { width, height: 900 },
      colorScheme,
    });
    await entry(page, 'websocket-stream').waitFor();
    await page.screenshot({ path: `${ARTIFACTS}/docs-${width}-${colorScheme}.png` });
    // Of all that there is, axe would be busy for a minute.
    await page.getByPlaceholder('Search').fill('subprotocol');
    await expect.poll(() => page.locator('article').count()).toBeLessThan(12);
    expect(await page.locator('article').count()).toBeGreaterThan(1);
    expect(await violations(page)).toEqual([]);
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow).toBe(0);
    await close();
  });
}

test('where the descriptions are not to be had, it says so', async () => {
  const { page, close } = await open(browser, 'about:blank');
  await page.route('**/openapi.json', (route) => route.fulfill({ status: 503 }));
  await page.goto(`${server.url}${UNDER}/docs`);
  expect(await page.getByRole('alert').innerText()).toContain('openapi.json: 503');
  await close();
});
