/** Any screen: its locale, its pixels, their number, and what it does to letters and axes. */

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open, panel } from './browser.ts';
import { Server } from './server.ts';

let server: Server;
beforeAll(async () => {
  server = await Server.start();
  const now = Date.now();
  for (let ago = 120; ago >= 0; ago -= 1) {
    const time = now - ago * 1000;
    await server.publish(
      { name: 'narrow', value: (ago % 7) + 1, time },
      { name: 'wide', value: ((ago % 5) + 1) * 0.25 * 2 ** 20, time, unit: 'bytes_per_second' },
      { name: 'service_up', value: true, kind: 'state', time },
    );
  }
});
afterAll(() => Server.stopAll());

/** CSS pixels of the height of the figures under a chart. */
function figureHeight(page: Page, name: string): Promise<number> {
  return panel(page, name)
    .locator('canvas')
    .evaluate((node) => {
      const canvas = node as HTMLCanvasElement;
      const over = canvas.parentElement!.querySelector<HTMLElement>('.over')!;
      const ratio = devicePixelRatio;
      const top = Math.ceil((over.offsetTop + over.offsetHeight + 3) * ratio);
      const { data, width, height } = canvas
        .getContext('2d')!
        .getImageData(0, top, canvas.width, canvas.height - top);
      const inked = (row: number): boolean => {
        // Left of the lines the lowest value's label reaches down here.
        for (let column = Math.ceil(over.offsetLeft * ratio); column < width; column += 1) {
          if (data[(row * width + column) * 4 + 3]! > 100) {
            return true;
          }
        }
        return false;
      };
      const rows = Array.from({ length: height }, (_, row) => row).filter(inked);
      return (rows.at(-1)! - rows[0]! + 1) / ratio;
    });
}

test.each([1, 1.5, 2, 3])(
  'letters are as large as they should be at a ratio of %d',
  async (ratio) => {
    const browser = await launch([`--force-device-scale-factor=${ratio}`]);
    for (const width of [390, 1440]) {
      const { page, failures, close } = await open(browser, server.url, {
        viewport: { width, height: 900 },
        deviceScaleFactor: ratio,
      });
      await expectFreshness(page, 'Live');
      const canvas = panel(page, 'wide').locator('canvas');
      await canvas.waitFor();
      await page.waitForTimeout(500);
      const em = await canvas.evaluate((node) =>
        Number.parseFloat(getComputedStyle(node.parentElement!).fontSize),
      );
      const height = await figureHeight(page, 'wide');
      // The figures of usual fonts are 0.7 em high, and a pixel more where their edges are soft.
      expect(height).toBeGreaterThan(0.6 * em);
      expect(height).toBeLessThan(0.85 * em + 2 / ratio);
      await page.screenshot({ path: `${ARTIFACTS}/ratio-${ratio}-${width}.png` });
      expect(failures).toEqual([]);
      await close();
    }
    await browser.close();
  },
);

test('letters keep their size when the ratio or the root font changes', async () => {
  const browser = await launch();
  const { page, close } = await open(browser, server.url, {
    // High enough for all panels in letters twice as large: what is out of sight isn't painted.
    viewport: { width: 1000, height: 2200 },
  });
  await expectFreshness(page, 'Live');
  await panel(page, 'wide').locator('canvas').waitFor();
  await page.waitForTimeout(500);
  const before = await figureHeight(page, 'wide');
  const session = await page.context().newCDPSession(page);
  for (const ratio of [2, 1.25, 3, 1]) {
    await session.send('Emulation.setDeviceMetricsOverride', {
      width: 1000,
      height: 2200,
      deviceScaleFactor: ratio,
      mobile: false,
    });
    await expect
      .poll(() =>
        page
          .locator('canvas')
          .first()
          .evaluate((node) => {
            const canvas = node as HTMLCanvasElement;
            return canvas.width / canvas.getBoundingClientRect().width / devicePixelRatio;
          }),
      )
      .toBeCloseTo(1, 2);
    await expect
      .poll(async () => Math.abs((await figureHeight(page, 'wide')) - before))
      .toBeLessThanOrEqual(1);
  }
  await page.evaluate(() => {
    document.documentElement.style.fontSize = '32px';
  });
  await expect.poll(() => figureHeight(page, 'wide')).toBeGreaterThan(1.7 * before);
  await close();
  await browser.close();
});

test('letters keep their size when the window goes to another monitor', async () => {
  // Two of them, side by side; pages have the size and the ratio that their window has.
  const monitors = '{1600x2400}{1600x2400 devicePixelRatio=2}';
  const browser = await launch([`--screen-info=${monitors}`]);
  const { page, close } = await open(browser, server.url, { viewport: null });
  const session = await page.context().newCDPSession(page);
  const { windowId } = await session.send('Browser.getWindowForTarget');
  const place = { top: 0, width: 1000, height: 2200 };
  await session.send('Browser.setWindowBounds', { windowId, bounds: { ...place, left: 0 } });
  await expectFreshness(page, 'Live');
  await panel(page, 'wide').locator('canvas').waitFor();
  const ratio = () => page.evaluate(() => devicePixelRatio);
  const sharp = () =>
    panel(page, 'wide')
      .locator('canvas')
      .evaluate((node) => {
        const canvas = node as HTMLCanvasElement;
        return canvas.width / canvas.getBoundingClientRect().width;
      });
  await expect.poll(sharp).toBeCloseTo(1, 2);
  const before = await figureHeight(page, 'wide');
  for (const [left, expected] of [
    [1650, 2],
    [0, 1],
  ] as const) {
    await session.send('Browser.setWindowBounds', { windowId, bounds: { ...place, left } });
    await expect.poll(ratio).toBe(expected);
    await expect.poll(sharp).toBeCloseTo(expected, 2);
    await expect
      .poll(async () => Math.abs((await figureHeight(page, 'wide')) - before))
      .toBeLessThanOrEqual(1);
    await page.screenshot({ path: `${ARTIFACTS}/monitor-${expected}.png` });
  }
  await close();
  await browser.close();
});

test('axes are as wide as their labels, and the same in all charts of a column', async () => {
  const browser = await launch();
  const { page, close } = await open(browser, server.url, {
    viewport: { width: 390, height: 1400 },
  });
  await expectFreshness(page, 'Live');
  await panel(page, 'wide').locator('canvas').waitFor();
  await page.waitForTimeout(500);
  const begin = (name: string) =>
    panel(page, name)
      .locator('.over')
      .evaluate((over) => over.getBoundingClientRect().left);
  await expect.poll(async () => (await begin('wide')) - (await begin('narrow'))).toBe(0);
  // Nothing touches the left edge of the canvas: no label is cut.
  const ink = await panel(page, 'wide')
    .locator('canvas')
    .evaluate((node) => {
      const canvas = node as HTMLCanvasElement;
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, 2, canvas.height);
      return data.some((value, at) => at % 4 === 3 && value > 60);
    });
  expect(ink).toBe(false);
  await close();
  await browser.close();
});

test('a browser without a locale shows the page', async () => {
  const browser = await launch([], { LANG: 'C', LC_ALL: 'C', LANGUAGE: '' });
  const context = await browser.newContext();
  const page = await context.newPage();
  const failures: string[] = [];
  page.on('pageerror', (error) => failures.push(String(error)));
  await page.goto(server.url);
  await expectFreshness(page, 'Live');
  await panel(page, 'wide').locator('canvas').waitFor();
  await panel(page, 'service_up').getByText('true').first().waitFor();
  expect(failures).toEqual([]);
  await browser.close();
});

test('an error that nobody caught is said, with a way on', async () => {
  const browser = await launch();
  const { page, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  await page.evaluate(() => {
    setTimeout(() => {
      throw new Error('the sky fell');
    });
  });
  const alert = page.getByRole('alert').filter({ hasText: 'the sky fell' });
  await alert.waitFor();
  await alert.getByRole('button', { name: 'Go on' }).click();
  await expect.poll(() => alert.count()).toBe(0);
  await page.evaluate(() => void Promise.reject(new Error('no such promise')));
  await page.getByRole('alert').filter({ hasText: 'no such promise' }).waitFor();
  await close();
  // A page whose script doesn't come is no blank page.
  const context = await browser.newContext({ locale: 'en-GB' });
  const broken = await context.newPage();
  await broken.route('**/assets/index-*.js', (route) => route.abort());
  await broken.goto(server.url);
  await broken.getByRole('alert').filter({ hasText: 'could not be loaded' }).waitFor();
  await broken.getByRole('button', { name: 'Reload' }).waitFor();
  await browser.close();
});
