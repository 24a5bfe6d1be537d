/** The path doctor in a browser, on a path that is well and on one that isn't. */

import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ARTIFACTS, launch, open } from './browser.ts';
import { Middlebox } from './middlebox.ts';
import { Server } from './server.ts';

let browser: Browser;
let server: Server;
beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});
afterAll(async () => {
  await Server.stopAll();
  await browser?.close();
});

async function examine(page: Page): Promise<string> {
  await page.getByLabel('Look for cuts').selectOption('5');
  await page.getByRole('button', { name: 'Examine' }).press('Enter');
  await page.getByRole('status').filter({ hasText: 'quiet' }).waitFor({ timeout: 20_000 });
  await page.getByRole('heading', { name: /This path is/ }).waitFor({ timeout: 30_000 });
  return page.locator('main').innerText();
}

describe.each(['light', 'dark'] as const)('in the %s theme', (colorScheme) => {
  test('a path that is well', async () => {
    const { page, failures, close } = await open(browser, `${server.url}/doctor`, { colorScheme });
    const text = await examine(page);
    expect(text).toContain('This path is healthy');
    expect(text).toContain('WebSocket: gets through');
    expect(text).toContain('long poll: gets through');
    expect(text).toContain('Nothing buffers');
    expect(text).toContain('HTTP stream: quiet for 5 s is survived');
    expect(text).toContain('WebSocket: quiet for 5 s is survived');
    expect(failures).toEqual([]);
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}/doctor-${colorScheme}.png`, fullPage: true });
    await close();
  });
});

test('a path that refuses WebSockets and keeps events to itself', async () => {
  const middlebox = await Middlebox.start(server.url, { websocket: true, eventStream: true });
  const { page, close } = await open(browser, `${middlebox.url}/doctor`, {
    viewport: { width: 390, height: 844 },
  });
  const text = await examine(page);
  expect(text).toContain('This path is not healthy');
  expect(text).toMatch(/WebSocket: does not get through: .*before it opened/);
  expect(text).toContain('SSE: does not get through: no first byte within 5 s');
  expect(text).toContain('NDJSON: gets through');
  expect(text).toContain('proxy_set_header Upgrade');
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow).toBe(0);
  await page.screenshot({ path: `${ARTIFACTS}/doctor-phone.png`, fullPage: true });
  await close();
  middlebox.stop();
});

test('can be stopped, and says so when there is nobody to ask', async () => {
  const other = await Server.start();
  const { page, close } = await open(browser, other.url);
  await page.getByRole('link', { name: 'WebSocket' }).click();
  await page.getByRole('button', { name: 'Examine' }).click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Examine' }).waitFor();
  expect(await page.getByRole('alert').count()).toBe(0);
  await other.stop('SIGKILL');
  await page.getByRole('button', { name: 'Examine' }).click();
  await page.getByRole('alert').waitFor();
  expect(await page.getByRole('alert').innerText()).toContain('could not be examined');
  await close();
});
