/** The address says what one looks at; Back and Forward go through it. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, open, panel, violations } from './browser.ts';
import { goLive, newFolder } from './live.ts';
import type { Server } from './server.ts';

let browser: Browser;
let server: Server;
let stop: () => Promise<void>;
const folder = newFolder();
beforeAll(async () => {
  ({ browser, server, stop } = await goLive({
    folder,
    environment: { PUSHSVC_DASHBOARDS_DIRECTORY: folder },
    samples: () => [
      ...['a', 'b', 'c'].map((host, at) => ({ name: 'load', labels: { host }, value: at + 1 })),
      { name: 'heat', value: 20 },
    ],
  }));
  expect(
    await server.save('one', {
      title: 'One',
      window: '5m',
      variables: [{ name: 'host', label: 'host', select: 'load' }],
      panels: [{ id: 'p', title: 'P', kind: 'line', select: 'load' }],
    }),
  ).toBe(201);
});
afterAll(() => stop?.());

const query = (page: Page) => Object.fromEntries(new URL(page.url()).searchParams);
const radio = (page: Page, name: string) => page.getByRole('radio', { name, exact: true });

test('each thing that one chooses is in the address, and Back undoes them one by one', async () => {
  const { page, failures, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  await panel(page, 'load').locator('canvas').waitFor();
  expect(query(page)).toEqual({});
  await radio(page, '5m').check({ force: true });
  await expect.poll(() => query(page)).toEqual({ window: '5m' });
  await page.getByLabel('Theme').selectOption('dark');
  await expect.poll(() => query(page)).toEqual({ window: '5m', theme: 'dark' });
  const line = panel(page, 'load').locator('.legend li').getByRole('button', { name: 'b' });
  await line.click();
  const hidden = { 'hide-load gauge ': 'load{host="b"}' };
  await expect.poll(() => query(page)).toEqual({ window: '5m', theme: 'dark', ...hidden });
  await page.getByRole('searchbox').pressSequentially('load', { delay: 30 });
  await expect
    .poll(() => query(page))
    .toEqual({
      window: '5m',
      theme: 'dark',
      q: 'load',
      ...hidden,
    });
  await page.locator('h1').click();
  await page.keyboard.press('Space');
  await expect.poll(() => query(page)).toHaveProperty('at');
  const address = page.url();

  // Somebody else sees the same.
  const other = await open(browser, address);
  await expectFreshness(other.page, 'Live');
  await other.page.getByRole('button', { name: /Back to live/ }).waitFor();
  await expect.poll(() => other.page.locator('.panel').count()).toBe(1);
  expect(await other.page.evaluate(() => document.documentElement.dataset.theme)).toBe('dark');
  expect(await radio(other.page, '5m').isChecked()).toBe(true);
  const same = panel(other.page, 'load').locator('.legend li').getByRole('button', { name: 'b' });
  expect(await same.getAttribute('aria-pressed')).toBe('false');
  expect(other.page.url()).toBe(address);
  await other.page.screenshot({ path: `${ARTIFACTS}/address-copied.png` });
  await other.close();

  await page.goBack();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  expect(await page.getByRole('searchbox').inputValue()).toBe('load');
  // A word is one step, not a step for each letter.
  await page.goBack();
  await expect.poll(() => page.getByRole('searchbox').inputValue()).toBe('');
  expect(await line.getAttribute('aria-pressed')).toBe('false');
  await page.goBack();
  await expect.poll(() => line.getAttribute('aria-pressed')).toBe('true');
  await page.goBack();
  await expect
    .poll(() => page.evaluate(() => document.documentElement.dataset.theme))
    .toBeUndefined();
  await page.goBack();
  await expect.poll(() => radio(page, '1m').isChecked()).toBe(true);
  expect(query(page)).toEqual({});
  for (let step = 0; step < 5; step += 1) {
    await page.goForward();
  }
  await page.getByRole('button', { name: /Back to live/ }).waitFor();
  await expect.poll(() => page.url()).toBe(address);
  expect(failures).toEqual([]);
  await close();
});

test.each<[string, RegExp, Record<string, string>?]>([
  ['window=banana', /window=banana in the address is not a span from 5s to 6h/],
  ['theme=blue', /theme=blue in the address/],
  ['at=2020-01-01T00:00:00Z', /longer ago than the 6 hours/],
  ['from=2026-01-01T00:00:00Z', /takes both from and to/],
  ['windw=5m', /windw in the address means nothing to this page/],
  ['window=5m&window=1h', /window=5m counts/, { window: '5m' }],
  ['kiosk=banana', /kiosk=banana in the address has a value, and takes none/, { kiosk: '' }],
  [
    'hide-nothing=a',
    /hide-nothing in the address is of no panel that is here now/,
    { 'hide-nothing': 'a' },
  ],
  ['panel=nothing', /There is no panel “nothing” now/],
])('%s is said, and what is usual is shown', async (search, words, left = {}) => {
  const { page, failures, close } = await open(browser, `${server.url}/?${search}`);
  await page.getByText(words).waitFor();
  expect(await violations(page)).toEqual([]);
  if (!search.startsWith('panel')) {
    await panel(page, 'load').locator('canvas').waitFor();
    await page.screenshot({ path: `${ARTIFACTS}/address-wrong.png` });
    expect(query(page)).toEqual(left);
    await page.getByRole('button', { name: 'Dismiss' }).click();
    expect(await page.getByText(words).count()).toBe(0);
  }
  expect(failures).toEqual([]);
  await close();
});

test('a name that can’t be decoded is taken as it stands', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/100%`);
  await page.getByRole('button', { name: 'Dashboard: 100%' }).waitFor();
  await page.goto(`${server.url}/docs#100%`);
  await page.locator('article').first().waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('one of all panels is alone at an address of its own', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/?window=1m`);
  await page.getByRole('link', { name: 'load alone' }).click();
  await page.waitForURL(/[?&]panel=load/);
  await panel(page, 'load').locator('canvas').waitFor();
  expect(await page.locator('.panel').count()).toBe(1);
  expect(await page.getByRole('banner').count()).toBe(0);
  await page.goBack();
  await panel(page, 'heat').waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('variables and panels of no dashboard are said, and it is loaded once for all of that', async () => {
  const asked: string[] = [];
  const { page, close } = await open(browser, `${server.url}/d/one?var-nothing=x&hide-nothing=a`, {
    prepare: async (opening) => {
      opening.on('request', (request) => {
        // Requests that follow a dashboard say which version the page has.
        const follows = 'if-none-match' in request.headers();
        if (!follows && new URL(request.url()).pathname === '/v1/dashboards/one') {
          asked.push(request.method());
        }
      });
    },
  });
  await page.getByText('var-nothing in the address is of no variable').waitFor();
  await page.getByText('hide-nothing in the address is of no panel').waitFor();
  await expect.poll(() => page.getByRole('combobox', { name: /^host/ }).inputValue()).toBe('a');
  await expect.poll(() => query(page)).toMatchObject({ 'var-nothing': 'x', 'var-host': 'a' });
  expect(asked).toEqual(['GET']);
  await page.getByRole('combobox', { name: /^host/ }).selectOption('c');
  await expect.poll(() => query(page)).toMatchObject({ 'var-host': 'c' });
  await page.goBack();
  await expect.poll(() => page.getByRole('combobox', { name: /^host/ }).inputValue()).toBe('a');
  await close();
});

test('Back leaves the editor and not the page, and asks about what isn’t saved', async () => {
  const { page, failures, close } = await open(browser, server.url);
  await page.goto(`${server.url}/d/one`);
  const edit = page.getByRole('button', { name: 'Edit', exact: true });
  const done = page.getByRole('button', { name: 'Done' });
  await edit.click();
  await done.waitFor();
  expect(query(page)).toHaveProperty('edit');
  await page.goBack();
  await edit.waitFor();
  expect(page.url()).toContain('/d/one');
  await page.goForward();
  await done.waitFor();

  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Title').fill('Another');
  await page.getByRole('button', { name: 'Apply' }).click();
  await page.getByText('not saved', { exact: true }).waitFor();
  await page.evaluate(() => history.back());
  const question = page.getByRole('dialog', { name: 'Not everything is saved' });
  await question.waitFor();
  await page.screenshot({ path: `${ARTIFACTS}/address-unsaved.png` });
  await expect.poll(() => query(page)).toHaveProperty('edit');
  await page.keyboard.press('Escape');
  await page.getByText('not saved', { exact: true }).waitFor();
  await page.evaluate(() => history.back());
  await question.getByRole('button', { name: 'Discard' }).click();
  await edit.waitFor();
  await page.getByRole('heading', { name: 'One', exact: true }).waitFor();
  await expect.poll(() => query(page)).not.toHaveProperty('edit');

  // Opened by its address, which was never looked at before.
  await page.goto(`${server.url}/d/one?edit`);
  await done.waitFor();
  await page.evaluate(() => history.back());
  await edit.waitFor();
  expect(page.url()).toContain('/d/one');
  expect(failures).toEqual([]);
  await close();
});
