/** What is read off charts: the lines one wants to see, and their values at a moment. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  ARTIFACTS,
  expectFreshness,
  IN_FIREFOX,
  launch,
  open,
  panel,
  violations,
} from './browser.ts';
import { Server } from './server.ts';

let browser: Browser;
let server: Server;
let publishing: ReturnType<typeof setInterval>;
beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  const now = Date.now();
  const at = (time: number) => [
    ...['ams', 'fra', 'lon'].map((host, index) => ({
      name: 'cpu',
      labels: { host },
      unit: 'ratio',
      value: 0.2 * (index + 1) + 0.05 * Math.sin(time / 9000 + index),
      time,
    })),
    { name: 'memory', unit: 'bytes', value: 3e9 + (time % 60_000) * 1000, time },
  ];
  for (let back = 60; back > 0; back -= 1) {
    await server.publish(...at(now - back * 1000));
  }
  publishing = setInterval(() => void server.publish(...at(Date.now())).catch(() => {}), 500);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
});

/** Colours of the lines that a chart draws: how many different ones there are. */
function colours(page: Page, title: string): Promise<number> {
  return panel(page, title)
    .locator('canvas')
    .evaluate((node) => {
      const canvas = node as HTMLCanvasElement;
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      const counts = new Map<string, number>();
      for (let at = 0; at < data.length; at += 4) {
        const [red, green, blue, alpha] = data.subarray(at, at + 4) as unknown as number[];
        if (alpha === 255 && Math.max(red!, green!, blue!) - Math.min(red!, green!, blue!) > 60) {
          const colour = `${red} ${green} ${blue}`;
          counts.set(colour, (counts.get(colour) ?? 0) + 1);
        }
      }
      return [...counts.values()].filter((count) => count > 40).length;
    });
}

test('a click in a legend hides a line, one with Ctrl shows it alone, by keyboard as well', async () => {
  const { page, failures, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  const cpu = panel(page, 'cpu');
  const entry = (name: string) => cpu.locator('.legend li').getByRole('button', { name });
  const pressed = () =>
    Promise.all(['ams', 'fra', 'lon'].map((name) => entry(name).getAttribute('aria-pressed')));
  await expect.poll(() => colours(page, 'cpu')).toBe(3);
  expect(await pressed()).toEqual(['true', 'true', 'true']);
  await entry('fra').click();
  await page.mouse.move(5, 5);
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await expect.poll(() => colours(page, 'cpu')).toBe(2);
  expect(await pressed()).toEqual(['true', 'false', 'true']);
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: `${ARTIFACTS}/legend-hidden.png` });
  // It stays so while samples come in.
  await page.waitForTimeout(1200);
  expect(await pressed()).toEqual(['true', 'false', 'true']);
  await entry('lon').click({ modifiers: ['Control'] });
  await expect.poll(() => colours(page, 'cpu')).toBe(1);
  expect(await pressed()).toEqual(['false', 'false', 'true']);
  await entry('lon').click({ modifiers: ['Control'] });
  expect(await pressed()).toEqual(['true', 'true', 'true']);
  // By keyboard.
  await entry('ams').focus();
  await page.keyboard.press('Space');
  expect(await pressed()).toEqual(['false', 'true', 'true']);
  await page.keyboard.press('Enter');
  expect(await pressed()).toEqual(['true', 'true', 'true']);
  await page.keyboard.press('Control+Enter');
  expect(await pressed()).toEqual(['true', 'false', 'false']);
  await cpu.getByRole('button', { name: '1 of 3 shown · show all' }).click();
  expect(await pressed()).toEqual(['true', 'true', 'true']);
  expect(failures).toEqual([]);
  await close();
});

test('a pointer has all values of that moment in every panel: sorted, with units and states', async () => {
  const { page, failures, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  await panel(page, 'memory').locator('canvas').waitFor();
  await expect.poll(() => colours(page, 'cpu')).toBe(3);
  const over = panel(page, 'cpu').locator('.over');
  const { width } = (await over.boundingBox())!;
  await over.hover({ position: { x: width - 60, y: 40 } });
  // Not by its role: Firefox 153 ends where `ariaLabelledByElements`, by which Playwright finds names, is
  // read in two worlds of one page, and what is asked of all of them at once is asked in another.
  const lines = (title: string) =>
    page.locator(`article:has(h3[title="${title}"]) .tip li`).allInnerTexts();
  await expect.poll(() => lines('cpu')).toHaveLength(3);
  expect((await lines('cpu')).map((text) => text.split('\n'))).toEqual([
    ['lon', expect.stringMatching(/^\d\d\.\d\s%$/)],
    ['fra', expect.stringMatching(/^\d\d\.\d\s%$/)],
    ['ams', expect.stringMatching(/^\d\d\.\d\s%$/)],
  ]);
  expect(await lines('memory')).toEqual([expect.stringMatching(/^memory\n\d\.\d\d\sGiB$/)]);
  const time = (title: string) => panel(page, title).locator('.tip strong').textContent();
  expect(await time('memory')).toBe(await time('cpu'));
  // On the side where there is room.
  const beside = async () =>
    (await panel(page, 'cpu').locator('.tip').boundingBox())!.x -
    (await panel(page, 'cpu').locator('.crosshair').boundingBox())!.x;
  await expect.poll(beside).toBeLessThan(0);
  await page.screenshot({ path: `${ARTIFACTS}/tooltip.png` });
  await over.hover({ position: { x: 40, y: 40 } });
  await expect.poll(beside).toBeGreaterThan(0);
  // A hidden line isn't read, and one that has ended is said to have.
  const entry = panel(page, 'cpu').locator('.legend li').getByRole('button', { name: 'fra' });
  await entry.click();
  await server.publish({ name: 'brief', labels: { host: 'a\u202eb' }, value: 1 });
  await panel(page, 'brief').locator('canvas').waitFor();
  await server.publish({ name: 'brief', labels: { host: 'a\u202eb' }, value: null });
  // The pointer stays at its time, which the sample has to be before.
  const at = async (x: number) => {
    await over.hover({ position: { x, y: 40 } });
    await over.hover({ position: { x: width - 2, y: 40 } });
    return lines('brief');
  };
  await expect
    .poll(() => at(width - 9), { timeout: 30_000 })
    .toEqual([expect.stringContaining('ended')]);
  expect(await lines('cpu')).toHaveLength(2);
  expect(failures).toEqual([]);
  await close();
});

test('arrows move the crosshair of a chart that has the focus, and its values are spoken', async () => {
  const { page, failures, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  await expect.poll(() => colours(page, 'cpu')).toBe(3);
  const chart = panel(page, 'cpu').getByRole('application', { name: /Line chart of cpu, 3 lines/ });
  await chart.focus();
  const said = () => panel(page, 'cpu').locator('.chart [aria-live]').textContent();
  expect(await said()).toBe('');
  await page.keyboard.press('ArrowLeft');
  await expect.poll(said).toMatch(/^\d\d:\d\d:\d\d .+: lon \d.+\s%; fra \d.+\s%; ams \d.+\s%$/);
  const first = await said();
  await page.keyboard.press('Shift+ArrowLeft');
  await expect.poll(said).not.toBe(first);
  await expect.poll(() => page.locator('.crosshair:visible').count()).toBeGreaterThan(1);
  // Still live: arrows in a chart don't look back.
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  await page.keyboard.press('Enter');
  await panel(page, 'cpu').locator('.pin').waitFor();
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: `${ARTIFACTS}/tooltip-keyboard.png` });
  await page.keyboard.press('Escape');
  await expect.poll(() => page.locator('.pin').count()).toBe(0);
  await page.keyboard.press('Escape');
  await expect.poll(() => page.locator('.tip').count()).toBe(0);
  await page.keyboard.press('Home');
  await expect.poll(() => page.locator('.tip').count()).toBeGreaterThan(1);
  await page.keyboard.press('Tab');
  await expect.poll(() => page.locator('.tip').count()).toBe(0);
  expect(failures).toEqual([]);
  await close();
});

// Firefox emulates no touch by BiDi.
test.skipIf(IN_FIREFOX)(
  'a tap reads a moment in all panels, until it is tapped again or elsewhere',
  async () => {
    const { page, failures, close } = await open(browser, server.url, {
      viewport: { width: 390, height: 844 },
      hasTouch: true,
      isMobile: true,
    });
    await expectFreshness(page, 'Live');
    await expect.poll(() => colours(page, 'cpu')).toBe(3);
    const box = (await panel(page, 'cpu').locator('.over').boundingBox())!;
    const tap = (left: number) =>
      page.touchscreen.tap(box.x + box.width - left, box.y + box.height / 2);
    await tap(100);
    await expect.poll(() => panel(page, 'cpu').locator('.tip li').count()).toBe(3);
    expect(await page.locator('.pin').count()).toBe(0);
    await page.screenshot({ path: `${ARTIFACTS}/tooltip-touch.png` });
    await tap(103);
    await expect.poll(() => page.locator('.tip').count()).toBe(0);
    await tap(150);
    await expect.poll(() => page.locator('.tip').count()).toBeGreaterThan(0);
    await page.locator('.bar h1').tap();
    await expect.poll(() => page.locator('.tip').count()).toBe(0);
    expect(failures).toEqual([]);
    await close();
  },
);

test('states are read by keyboard, row by row and one after the other', async () => {
  const now = Date.now();
  const held = (host: string, value: string, back: number) => ({
    name: 'mode',
    labels: { host },
    kind: 'state',
    value,
    time: now - back * 1000,
  });
  await server.publish(
    held('a', 'starting', 50),
    held('a', 'ready', 40),
    held('a', 'draining', 10),
    held('b', 'ready', 45),
  );
  const { page, failures, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  const states = panel(page, 'mode');
  const rows = states.getByRole('application');
  const said = states.locator('.states > [aria-live="polite"]');
  await rows.scrollIntoViewIfNeeded();
  expect(await rows.getAttribute('aria-label')).toContain('States of mode, 2 rows');
  await rows.focus();
  const press = async (key: string, expected: RegExp): Promise<void> => {
    await page.keyboard.press(key);
    await expect.poll(() => said.textContent(), { message: key }).toMatch(expected);
  };
  await press('ArrowLeft', /^a: draining since .+, until now$/);
  await press('ArrowLeft', /^a: ready since .+, until \d.+$/);
  await press('ArrowLeft', /^a: starting since at least .+, until \d.+$/);
  await press('ArrowLeft', /^a: starting/);
  expect(await states.locator('li.read').count()).toBe(1);
  await page.screenshot({ path: `${ARTIFACTS}/states-read.png` });
  await press('ArrowRight', /^a: ready/);
  // The same time in another row.
  await press('ArrowDown', /^b: ready since at least .+, until now$/);
  await press('ArrowDown', /^b: ready/);
  await press('ArrowUp', /^a: ready/);
  await press('End', /^a: draining/);
  await press('Home', /^a: starting/);
  // Still live: arrows in it don't look back. Its time is that of all panels.
  await expectFreshness(page, 'Live');
  expect(new URL(page.url()).search).toBe('');
  await panel(page, 'memory').locator('.tip').waitFor();
  expect(await violations(page, '.panel:has(.states)')).toEqual([]);
  await page.keyboard.press('Escape');
  await expect.poll(() => said.textContent()).toBe('');
  expect(await panel(page, 'memory').locator('.tip').count()).toBe(0);
  expect(await rows.evaluate((it) => document.activeElement === it)).toBe(true);
  expect(failures).toEqual([]);
  await close();
});
