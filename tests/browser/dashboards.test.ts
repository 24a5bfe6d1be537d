/** Dashboards that are kept: shown where they were put, by a URL that says all of it. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, open, panel, violations } from './browser.ts';
import { goLive, newFolder } from './live.ts';
import { Server } from './server.ts';

const WORKLOADS = {
  title: 'Workloads',
  description: 'By namespace.',
  window: '5m',
  variables: [{ name: 'namespace', label: 'namespace', select: 'pod_cpu' }],
  panels: [
    {
      id: 'cpu',
      title: 'CPU',
      kind: 'line',
      select: 'pod_cpu{namespace="$namespace"}',
      grid: { x: 0, y: 0, w: 8, h: 4 },
    },
    {
      id: 'now',
      title: 'CPU now',
      kind: 'gauge',
      select: 'pod_cpu{namespace=~"$namespace"}',
      max: 2,
      thresholds: [{ at: 1, level: 'warning' }],
      grid: { x: 8, y: 0, w: 4, h: 4 },
    },
    {
      id: 'all',
      title: 'All of them',
      kind: 'table',
      select: 'pod_cpu',
      grid: { x: 0, y: 4, w: 12, h: 3 },
    },
  ],
};

let browser: Browser;
let server: Server;
let stop: () => Promise<void>;
const folder = newFolder();
beforeAll(async () => {
  writeFileSync(join(folder, 'workloads.json'), JSON.stringify(WORKLOADS));
  writeFileSync(join(folder, 'broken.json'), '{"title": 1}');
  const pods = [
    ['shop', 'cart', 0.4],
    ['shop', 'web', 1.2],
    ['kube-system', 'dns', 0.1],
  ] as const;
  ({ browser, server, stop } = await goLive({
    folder,
    environment: { PUSHSVC_DASHBOARDS_PROVISIONED: folder },
    samples: () =>
      pods.map(([namespace, pod, value]) => ({
        name: 'pod_cpu',
        labels: { namespace, pod },
        value: value + 0.05 * Math.sin(Date.now() / 3000),
      })),
  }));
});
afterAll(() => stop?.());

describe.each([
  ['light', {}],
  ['dark', LONG],
] as const)('in the %s theme', (colorScheme, often) => {
  test('panels are where they were put, and a variable chooses what they show', often, async () => {
    const { page, failures, close } = await open(browser, server.url, {
      colorScheme,
      viewport: { width: 1440, height: 900 },
    });
    await expectFreshness(page, 'Live');
    const menu = page.getByRole('navigation', { name: 'Dashboards' });
    await menu.getByRole('button').click();
    await menu.getByRole('link', { name: 'Workloads', exact: true }).click();
    await page.waitForURL(/\/d\/workloads/);
    await page.getByRole('heading', { name: 'Workloads', exact: true }).waitFor();
    await menu.getByRole('button', { name: 'Dashboard: Workloads' }).click();
    // One that is broken is not offered.
    expect(await menu.getByRole('link').allInnerTexts()).toEqual([
      'All metrics',
      'Workloads',
      'This host',
      'Kubernetes workloads',
      'This service',
      'Who sends, who watches',
    ]);
    await page.keyboard.press('Escape');
    expect(await menu.getByRole('link').count()).toBe(0);
    const namespace = page.getByLabel('namespace');
    await expect.poll(() => namespace.inputValue()).toBe('kube-system');
    await namespace.selectOption('shop');
    expect(new URL(page.url()).searchParams.get('var-namespace')).toBe('shop');
    await expect.poll(() => panel(page, 'CPU now').getByRole('listitem').count()).toBe(2);
    expect(await panel(page, 'CPU now').getByRole('img', { name: 'warning' }).count()).toBe(1);
    await expect.poll(() => panel(page, 'All of them').getByRole('row').count()).toBe(4);
    await panel(page, 'CPU').locator('canvas').waitFor();
    // Any panel can be read as a table.
    await panel(page, 'CPU now').getByRole('button', { name: 'CPU now as a table' }).click();
    await panel(page, 'CPU now').getByRole('columnheader', { name: 'mean' }).waitFor();
    await panel(page, 'CPU now').getByRole('button', { name: 'CPU now as a table' }).click();
    await panel(page, 'CPU now').getByRole('meter').first().waitFor();
    expect(await page.getByRole('radio', { name: '5m', exact: true }).isChecked()).toBe(true);
    const [cpu, now] = await Promise.all([
      panel(page, 'CPU').boundingBox(),
      panel(page, 'CPU now').boundingBox(),
    ]);
    expect(cpu!.y).toBe(now!.y);
    expect(cpu!.width / now!.width).toBeGreaterThan(1.8);
    expect(failures).toEqual([]);
    expect(await violations(page)).toEqual([]);
    await page.waitForTimeout(1500);
    await page.screenshot({ path: `${ARTIFACTS}/dashboard-${colorScheme}.png` });
    await close();
  });
});

test('a link keeps the window and the choice; kiosk and one panel have nothing around them', async () => {
  const { page, close } = await open(
    browser,
    `${server.url}/d/workloads?window=1m&var-namespace=shop`,
  );
  const link = page.getByRole('link', { name: 'Link to this view' });
  await link.waitFor();
  await page.getByRole('radio', { name: '15m', exact: true }).check({ force: true });
  await expect
    .poll(() => link.getAttribute('href'))
    .toBe('d/workloads?window=15m&var-namespace=shop');
  await page.getByRole('link', { name: 'Kiosk' }).click();
  await page.getByRole('heading', { name: 'Workloads' }).waitFor();
  expect(await page.getByRole('banner').count()).toBe(0);
  expect(await page.getByLabel('namespace').inputValue()).toBe('shop');
  await page.goto(`${server.url}/d/workloads?window=15m&var-namespace=shop`);
  await page.getByRole('link', { name: 'CPU alone' }).click();
  await page.waitForURL(`${server.url}/d/workloads?window=15m&var-namespace=shop&panel=cpu`);
  const cpu = panel(page, 'CPU');
  await cpu.locator('canvas').waitFor();
  expect(await page.locator('.panel').count()).toBe(1);
  const { width, height } = (await cpu.boundingBox())!;
  expect([width, height]).toEqual([page.viewportSize()!.width, page.viewportSize()!.height]);
  await page.screenshot({ path: `${ARTIFACTS}/dashboard-embedded.png` });
  await close();
});

test('nothing is gone to by looking through the dashboards with keys', async () => {
  const { page, failures, close } = await open(browser, server.url, {
    viewport: { width: 1440, height: 900 },
  });
  await expectFreshness(page, 'Live');
  const menu = page.getByRole('navigation', { name: 'Dashboards' });
  const button = menu.getByRole('button', { name: 'Dashboard: All metrics' });
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  await button.focus();
  await page.keyboard.press('ArrowDown');
  await expect.poll(focused).toBe('All metrics');
  expect(await button.getAttribute('aria-expanded')).toBe('true');
  await page.screenshot({ path: `${ARTIFACTS}/menu.png` });
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press('ArrowDown');
  expect(await focused()).toBe('Workloads');
  await page.keyboard.press('End');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  expect(await focused()).toBe('Who sends, who watches');
  await page.keyboard.press('Escape');
  expect(await button.getAttribute('aria-expanded')).toBe('false');
  expect(await button.evaluate((element) => document.activeElement === element)).toBe(true);
  expect(page.url()).toBe(`${server.url}/`);
  await page.keyboard.press('Enter');
  await expect.poll(focused).toBe('All metrics');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/d/workloads**`);
  await page.getByRole('heading', { name: 'Workloads', exact: true }).waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('kiosk has a way out, by keyboard and by pointer, and full screen', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/workloads?kiosk`, {
    viewport: { width: 1440, height: 900 },
  });
  const controls = page.getByRole('navigation', { name: 'Full screen' });
  await panel(page, 'CPU').locator('canvas').waitFor();
  await page.mouse.move(300, 300);
  await page.mouse.move(310, 310);
  await controls.getByRole('link', { name: 'Leave kiosk' }).waitFor();
  await page.screenshot({ path: `${ARTIFACTS}/kiosk.png` });
  expect(await violations(page)).toEqual([]);
  const shade = () => controls.evaluate((element) => getComputedStyle(element).opacity);
  await expect.poll(shade, { timeout: 30_000 }).toBe('0');
  await page.mouse.move(320, 320);
  await expect.poll(shade).toBe('1');
  await controls.getByRole('button', { name: 'Full screen' }).click();
  await controls.getByRole('button', { name: 'Leave full screen' }).waitFor();
  expect(await page.evaluate(() => document.fullscreenElement !== null)).toBe(true);
  await page.keyboard.press('f');
  await expect.poll(() => page.evaluate(() => document.fullscreenElement)).toBe(null);
  // A pin goes first.
  await panel(page, 'CPU').locator('.plot').click();
  await page.locator('.pin').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.pin').waitFor({ state: 'detached' });
  // And then the crosshair, if the chart that has the focus still shows one.
  await page.keyboard.press('Escape');
  if (new URL(page.url()).searchParams.has('kiosk')) {
    await page.keyboard.press('Escape');
  }
  await page.getByRole('banner').waitFor();
  expect(new URL(page.url()).searchParams.has('kiosk')).toBe(false);
  expect(new URL(page.url()).pathname).toBe('/d/workloads');
  // As is it with a panel that is alone.
  await page.getByRole('link', { name: 'CPU alone' }).click();
  await controls.getByRole('link', { name: 'All panels' }).click();
  await page.getByRole('banner').waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('the first tab stop leads past the bar', async () => {
  const { page, close } = await open(browser, `${server.url}/d/workloads`);
  await panel(page, 'CPU').locator('canvas').waitFor();
  await page.keyboard.press('Tab');
  const skip = page.getByRole('link', { name: 'Skip to the panels' });
  expect(await skip.evaluate((element) => document.activeElement === element)).toBe(true);
  expect((await skip.boundingBox())!.x).toBeGreaterThanOrEqual(0);
  await page.screenshot({ path: `${ARTIFACTS}/skip.png` });
  expect(await violations(page)).toEqual([]);
  const { pathname } = new URL(page.url());
  await page.keyboard.press('Enter');
  expect(new URL(page.url()).pathname).toBe(pathname);
  await page.keyboard.press('Tab');
  const inside = () =>
    page.evaluate(() => document.querySelector('main')!.contains(document.activeElement));
  expect(await inside()).toBe(true);
  await close();
});

test('what isn’t there is said, and a phone has one panel under the other', async () => {
  const { page, close } = await open(browser, `${server.url}/d/nothing`);
  await page.getByRole('alert').filter({ hasText: 'nothing' }).waitFor();
  await page.screenshot({ path: `${ARTIFACTS}/nothing-dashboard.png` });
  expect(await violations(page)).toEqual([]);
  // There is a way on.
  await page.getByRole('main').getByRole('link', { name: 'Workloads', exact: true }).click();
  await page.getByRole('heading', { name: 'Workloads', exact: true }).waitFor();
  for (const path of ['nonsense', 'd/one/two', 'v1/nonsense']) {
    await page.goto(`${server.url}/${path}`);
    await page.getByRole('heading', { name: 'Not Found' }).waitFor();
    expect(await violations(page)).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}/nothing-page.png` });
    await page.getByRole('link', { name: 'All metrics' }).click();
    await page.waitForURL(`${server.url}/`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto(`${server.url}/d/workloads`);
  await panel(page, 'CPU').locator('canvas').waitFor();
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow).toBe(0);
  await page.screenshot({ path: `${ARTIFACTS}/dashboard-phone.png`, fullPage: true });
  await close();
});

describe.each([
  ['host', {}],
  ['service', LONG],
] as const)('the dashboard %s that comes with it', (name, often) => {
  test('shows what it is of', often, async () => {
    const demo = await Server.start('demo');
    const { page, failures, close } = await open(browser, `${demo.url}/d/${name}`, {
      viewport: { width: 1440, height: 1600 },
    });
    await expectFreshness(page, 'Live');
    await page.locator('.board .panel canvas').nth(3).waitFor();
    await page.waitForTimeout(4000);
    // A machine without sensors and a service without trouble have nothing to show there.
    const empty = await page.locator('.panel').filter({ hasText: 'No series matches' }).count();
    expect(empty).toBeLessThan(4);
    expect(await page.getByText('can’t be read').count()).toBe(0);
    await page.screenshot({ path: `${ARTIFACTS}/comes-with-it-${name}.png` });
    expect(failures).toEqual([]);
    await close();
  });
});
