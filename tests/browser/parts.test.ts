/** Parts of the page that are loaded later: when the server is away just then, or has others. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open, panel } from './browser.ts';
import { Server } from './server.ts';

const LATER = /\/assets\/(?!(?:index|strangers|shared)-)[\w-]+\.js/;

let browser: Browser;
let server: Server;
let publishing: NodeJS.Timeout;
beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  const publish = () => server.publish({ name: 'load', value: Math.random() });
  await publish();
  publishing = setInterval(() => void publish().catch(() => {}), 300);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
});

/** What is loaded later fails from the beginning; tells how often it was asked for. */
async function failing(page: Page, status: number | null): Promise<string[]> {
  const asked: string[] = [];
  await page.route(LATER, async (route) => {
    asked.push(route.request().url());
    await (status === null ? route.abort('connectionrefused') : route.fulfill({ status }));
  });
  return asked;
}

test('what could not be loaded is there when the server is', async () => {
  let asked: string[] = [];
  const { page, failures, close } = await open(browser, server.url, {
    prepare: async (page) => {
      asked = await failing(page, null);
    },
  });
  await expectFreshness(page, 'Live');
  const chart = panel(page, 'load').locator('.over');
  await chart.hover();
  await page.keyboard.press('?');
  await expect.poll(() => asked.some((url) => url.includes('/tip-'))).toBe(true);
  await expect.poll(() => asked.some((url) => url.includes('/sheet-'))).toBe(true);
  expect(await page.locator('.tip, #failure, [role=dialog]').count()).toBe(0);
  await page.unroute(LATER);
  // A browser would fail the same module again without asking.
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await chart.hover();
  await page.locator('.tip').waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('what is wanted in an outage was loaded before it', async () => {
  const { page, failures, close } = await open(browser, server.url);
  const ahead = page.waitForResponse(/\/assets\/sheet-[\w-]+\.js/);
  await expectFreshness(page, 'Live');
  await ahead;
  await page.waitForLoadState('networkidle');
  await page.context().setOffline(true);
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await panel(page, 'load').locator('.over').hover();
  await page.locator('.tip').waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('a page that is older than the server says so, and goes on', async () => {
  const { page, close } = await open(browser, server.url, {
    prepare: async (page) => {
      await failing(page, 404);
    },
  });
  const said = page.getByRole('alert').getByText('another version of this page');
  await said.waitFor();
  await expectFreshness(page, 'Live');
  await page.screenshot({ path: `${ARTIFACTS}/other-version.png` });
  await page.unroute(LATER);
  await page.getByRole('alert').getByRole('button', { name: 'Reload' }).click();
  await page.getByRole('alert').waitFor({ state: 'detached' });
  await expectFreshness(page, 'Live');
  await close();
});

test('where nobody is to press a button it is loaded anew, once', async () => {
  let loads = 0;
  const { page, close } = await open(browser, `${server.url}/?kiosk`, {
    init: () => {
      Math.random = () => 0.01;
    },
    prepare: async (page) => {
      await failing(page, 404);
      page.on('domcontentloaded', () => {
        loads += 1;
      });
    },
  });
  await expect.poll(() => loads, { timeout: 30_000 }).toBe(2);
  await page.getByRole('alert').waitFor();
  await page.waitForTimeout(1500);
  expect(loads).toBe(2);
  await close();
});

test('what isn’t saved is asked about before another version is loaded', async () => {
  const { page, close } = await open(browser, `${server.url}/d/new?edit`);
  const asked: string[] = [];
  page.on('dialog', (dialog) => {
    asked.push(dialog.type());
    void dialog.dismiss();
  });
  const reload = page.getByRole('alert').getByRole('button', { name: 'Reload' });
  const fail = () =>
    page.evaluate(() => {
      void Promise.reject(new Error('the server has another version of this page'));
    });
  // In a form, which isn’t in the draft yet.
  await page.getByRole('button', { name: 'Add a panel' }).click();
  await page.getByRole('dialog').getByLabel('Title').fill('Mine');
  await page.evaluate(() => location.reload());
  await expect.poll(() => asked).toEqual(['beforeunload']);
  expect(await page.getByRole('dialog').getByLabel('Title').inputValue()).toBe('Mine');
  await page.getByRole('dialog').getByLabel('Selector').fill('load');
  await page.getByRole('dialog').getByRole('button', { name: 'Add', exact: true }).click();
  // And in the draft.
  await panel(page, 'Mine').waitFor();
  await fail();
  await reload.click();
  await expect.poll(() => asked).toHaveLength(2);
  await panel(page, 'Mine').waitFor();
  await close();
});
