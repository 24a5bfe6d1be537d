/** What is read off charts: the lines one wants to see, and their values at a moment. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open, panel, violations } from './browser.ts';
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
