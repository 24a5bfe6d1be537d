/** Of a window that is longer than what the server keeps the page says so. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open, panel, violations } from './browser.ts';
import { Server } from './server.ts';

let browser: Browser;
let server: Server;
beforeAll(async () => {
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_HISTORY_SECONDS: '60' }),
  ]);
  const now = Date.now();
  for (let ago = 40; ago >= 0; ago -= 1) {
    const time = now - ago * 1000;
    await server.publish(
      { name: 'load', value: Math.sin(ago / 5), time },
      { name: 'phase', value: ago > 20 ? 'rolling' : 'stable', kind: 'state', time },
    );
  }
});
afterAll(async () => {
  await Server.stopAll();
  await browser?.close();
});

test('it is said beside the choice, and where data can’t be', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/?window=1m`, {
    viewport: { width: 1440, height: 700 },
  });
  await expectFreshness(page, 'Live');
  await panel(page, 'load').locator('canvas').waitFor();
  await page.waitForTimeout(500);
  /** How often something begins along a row of pixels in the chart's left half. */
  const strokes = () =>
    panel(page, 'load')
      .locator('canvas')
      .evaluate((node) => {
        const canvas = node as HTMLCanvasElement;
        const over = canvas.parentElement!.querySelector<HTMLElement>('.over')!;
        const { data } = canvas
          .getContext('2d')!
          .getImageData(over.offsetLeft, over.offsetTop + 9, Math.floor(over.offsetWidth / 2), 1);
        const inked = data.filter((_, at) => at % 4 === 3).map((alpha) => (alpha > 60 ? 1 : 0));
        return inked.filter((ink, at) => ink > 0 && inked[at - 1] === 0).length;
      });
  const kept = page.locator('.kept');
  expect(await kept.count()).toBe(0);
  expect(await strokes()).toBeLessThan(10);
  const choice = page.getByRole('radio', { name: '5m (The server keeps 1m)', exact: true });
  await choice.check({ force: true });
  await expect.poll(() => kept.textContent()).toBe('the server keeps 1m');
  // Four minutes of five.
  await expect.poll(strokes).toBeGreaterThan(15);
  expect(await panel(page, 'phase').locator('.unkept').count()).toBe(1);
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: `${ARTIFACTS}/kept.png` });
  await page.getByRole('radio', { name: '30s' }).check({ force: true });
  await expect.poll(() => kept.count()).toBe(0);
  expect(await panel(page, 'phase').locator('.unkept').count()).toBe(0);
  expect(failures).toEqual([]);
  await close();
});
