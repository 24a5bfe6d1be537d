/** Time on the page: held while data keeps arriving, looked back at, zoomed into, live again. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, colouredPixels, expectFreshness, launch, open, points } from './browser.ts';
import { Server } from './server.ts';

let browser: Browser;
let demo: Server;
beforeAll(async () => {
  browser = await launch();
  demo = await Server.start('demo');
});
afterAll(async () => {
  await Server.stopAll();
  await browser?.close();
});

const NAME = 'node_cpu_utilization';

async function one(page: Page): Promise<void> {
  await expectFreshness(page, 'Live');
  await page.getByRole('searchbox').fill(NAME);
  await expect.poll(() => page.locator('.panel').count()).toBe(1);
  await expect.poll(() => colouredPixels(page, NAME)).toBeGreaterThan(20);
  await page.locator('h1').click();
}

test('Space holds the charts while samples keep arriving, and goes back to live', async () => {
  const { page, failures, close } = await open(browser, demo.url);
  await one(page);
  await page.keyboard.press('Space');
  const back = page.getByRole('button', { name: /Back to live/ });
  await back.waitFor();
  const before = (await points(page, NAME, { cpu: '0' })).length;
  await expect.poll(() => back.textContent(), { timeout: 30_000 }).toMatch(/\d+ new/);
  await expect
    .poll(async () => (await points(page, NAME, { cpu: '0' })).length, { timeout: 30_000 })
    .toBeGreaterThan(before);
  await page.keyboard.press('Space');
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  const lag = page.locator('.lag');
  await expect.poll(() => lag.locator('summary').textContent()).toMatch(/^lag \d{1,4}\sms$/);
  // Where that time goes, and it adds up.
  await lag.locator('summary').click();
  await expect
    .poll(async () => {
      const read = async (where: string) =>
        Number(/[\d.]+/.exec((await lag.locator(where).first().textContent())!)![0]);
      const parts = await lag.locator('dd').allInnerTexts();
      const sum = parts.map((text) => Number.parseInt(text, 10)).reduce((a, b) => a + b, 0);
      return Math.abs(sum - (await read('summary')));
    })
    .toBeLessThanOrEqual(2);
  await page.screenshot({ path: `${ARTIFACTS}/lag.png` });
  expect(failures).toEqual([]);
  await close();
});

/** Drag over a part of the first chart, as shares of its width. */
async function drag(page: Page, from: number, to: number): Promise<void> {
  const { x, y, width, height } = (await page.locator('.panel .over').boundingBox())!;
  await page.mouse.move(x + width * from, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + width * to, y + height / 2, { steps: 4 });
  await page.mouse.up();
}

const chosenWindow = (page: Page) =>
  page.getByRole('radio', { checked: true }).evaluateAll((found) => found.length);

test('a drag zooms in; a double click, Escape, a button and Back lead out again', async () => {
  const { page, failures, close } = await open(browser, demo.url);
  await one(page);
  await page.getByRole('radio', { name: '5m', exact: true }).check({ force: true });
  const live = page.getByRole('button', { name: 'Pause' });
  const out = page.getByRole('button', { name: 'Zoom out' });
  const back = page.getByRole('button', { name: /Back to live/ });
  const span = () => {
    const { searchParams } = new URL(page.url());
    return Date.parse(searchParams.get('to')!) - Date.parse(searchParams.get('from')!);
  };

  const box = (await page.locator('.panel .over').boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width + 30, box.y + 40, { steps: 4 });
  expect(await page.locator('.brush').count()).toBe(1);
  await page.screenshot({ path: `${ARTIFACTS}/zooming.png` });
  // Thought better of it.
  await page.keyboard.press('Escape');
  expect(await page.locator('.brush').count()).toBe(0);
  await page.mouse.up();
  await live.waitFor();

  await drag(page, 0.5, 0.75);
  await out.waitFor();
  // A quarter of the window is none of those on offer.
  expect(await chosenWindow(page)).toBe(0);
  expect(span() / 75_000).toBeCloseTo(1, 1);
  await page.waitForTimeout(200);
  await drag(page, 0.2, 0.6);
  await expect.poll(() => span() / 30_000).toBeCloseTo(1, 1);
  await page.keyboard.press('Escape');
  await expect.poll(() => span() / 75_000).toBeCloseTo(1, 1);
  await page.locator('.panel .over').dblclick({ position: { x: 50, y: 50 } });
  await live.waitFor();
  expect(await page.locator('.pin').count()).toBe(0);
  expect(await page.getByRole('radio', { name: '5m', exact: true }).isChecked()).toBe(true);

  await drag(page, 0.5, 0.75);
  await drag(page, 0.2, 0.6);
  await out.click();
  await out.click();
  await live.waitFor();
  await drag(page, 0.1, 0.4);
  await back.click();
  await live.waitFor();
  expect(await page.getByRole('radio', { name: '5m', exact: true }).isChecked()).toBe(true);

  await drag(page, 0.5, 0.75);
  await out.waitFor();
  await page.goBack();
  await live.waitFor();
  expect(await page.getByRole('radio', { name: '5m', exact: true }).isChecked()).toBe(true);
  await page.goForward();
  await out.waitFor();
  expect(span() / 75_000).toBeCloseTo(1, 1);
  await page.keyboard.press('0');
  await live.waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('a drag with Shift looks back, as many steps that are one to go back', async () => {
  const { page, failures, close } = await open(browser, demo.url);
  await one(page);
  const entries = () => page.evaluate(() => history.length);
  const before = await entries();
  await page.keyboard.down('Shift');
  await drag(page, 0.2, 0.6);
  await page.keyboard.up('Shift');
  await page.getByRole('button', { name: /Back to live/ }).waitFor();
  expect(await page.getByRole('button', { name: 'Zoom out' }).count()).toBe(0);
  await expect.poll(() => page.url()).toMatch(/[?&](at|to)=/);
  expect(await entries()).toBe(before + 1);
  // What was copied shows the same.
  await page.waitForTimeout(600);
  const other = await open(browser, page.url());
  const said = (one: Page) =>
    one
      .getByText(/^.*Held at \d/)
      .first()
      .textContent();
  await other.page.getByRole('button', { name: /Back to live/ }).waitFor();
  await expect.poll(() => said(other.page)).toBe(await said(page));
  await other.close();
  await page.goBack();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('any window can be written, and is kept', async () => {
  const { page, close } = await open(browser, demo.url);
  await one(page);
  const own = page.getByRole('textbox', { name: /Another window/ });
  await own.fill('nonsense');
  await own.press('Enter');
  expect(await own.evaluate((field: HTMLInputElement) => field.validationMessage)).toContain('20m');
  await own.fill('7h');
  await own.press('Enter');
  expect(await own.evaluate((field: HTMLInputElement) => field.validity.valid)).toBe(false);
  await own.fill('1h30m');
  await own.press('Enter');
  expect(await page.getByRole('radio', { checked: true }).count()).toBe(0);
  await page.reload();
  await expect.poll(() => own.inputValue()).toBe('1h30m');
  await page.getByRole('radio', { name: '5m', exact: true }).check({ force: true });
  await expect.poll(() => own.inputValue()).toBe('');
  await close();
});

test('a sheet tells the keys, and the bar has room for all on a phone', async () => {
  const { page, close } = await open(browser, demo.url);
  await one(page);
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keys' }).waitFor();
  await page.screenshot({ path: `${ARTIFACTS}/keys.png` });
  await page.keyboard.press('Escape');
  await page.setViewportSize({ width: 390, height: 844 });
  await page.waitForTimeout(600);
  await page.screenshot({ path: `${ARTIFACTS}/phone-one.png` });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBeLessThanOrEqual(390);
  await close();
});
