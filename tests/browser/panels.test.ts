/** What can be read off a panel, and taken away from it. */

import { readFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, launch, open, panel, violations } from './browser.ts';
import { Server } from './server.ts';

let browser: Browser;
let server: Server;
let publishing: ReturnType<typeof setInterval>;
beforeAll(async () => {
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_STREAM_MAX_HZ: '2' }),
  ]);
  let count = 0;
  const publish = () => {
    count += 1;
    return server.publish(
      { name: 'fast', labels: { room: 'hall' }, value: (count % 10) + 1 },
      { name: 'fast', labels: { room: 'attic' }, value: (count % 10) / 2 },
      // Once every two seconds: slower than what is sent.
      ...(count % 20 === 1 ? [{ name: 'slow', value: count }] : []),
    );
  };
  await publish();
  publishing = setInterval(() => void publish().catch(() => {}), 100);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
});

test('a lowered rate is said on the panel that it is of, and on no other', async () => {
  const { page, close } = await open(browser, server.url);
  await panel(page, 'fast').getByText('rate lowered to 2/s').waitFor();
  await panel(page, 'slow').locator('canvas').waitFor();
  expect(await panel(page, 'slow').getByText('rate lowered').count()).toBe(0);
  await close();
});

test('a click pins the values of a time, and a second click there unpins them', async () => {
  const { page, failures, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  const fast = panel(page, 'fast');
  await fast.locator('canvas').waitFor();
  await page.getByRole('radio', { name: '30s', exact: true }).check({ force: true });
  await page.waitForTimeout(5000);
  const over = fast.locator('.over');
  const { width, height } = (await over.boundingBox())!;
  // The lines begin where the page was opened: there is nothing to read before.
  await over.click({ position: { x: width - 30, y: height / 2 } });
  const pin = fast.locator('.pin');
  await pin.waitFor();
  expect(await pin.getByRole('listitem').count()).toBe(2);
  const [first, second] = await pin.getByRole('listitem').allInnerTexts();
  expect(first).toContain('hall');
  expect(second).toContain('attic');
  await page.screenshot({ path: `${ARTIFACTS}/pinned.png` });
  // It goes with its time.
  const left = (await pin.boundingBox())!.x;
  await expect.poll(async () => (await pin.boundingBox())!.x).toBeLessThan(left - 5);
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await expect.poll(() => pin.count()).toBe(0);
  await over.click({ position: { x: width - 45, y: height / 2 } });
  await pin.waitFor();
  const { x } = (await pin.boundingBox())!;
  const box = (await over.boundingBox())!;
  await over.click({ position: { x: x - box.x, y: height - 5 } });
  await expect.poll(() => pin.count()).toBe(0);
  expect(failures).toEqual([]);
  await close();
});

test('a legend tells least, most and mean, and keeps to that', async () => {
  const { page, close } = await open(browser, server.url);
  const entry = panel(page, 'fast').getByRole('button', { name: /hall/ });
  await entry.waitFor();
  await page.getByRole('button', { name: 'min · max · mean' }).click();
  await expect.poll(() => entry.innerText()).toMatch(/min\s+1\s+max\s+10\s+mean/);
  await page.reload();
  await expect.poll(() => entry.innerText()).toMatch(/max\s+10/);
  await page.screenshot({ path: `${ARTIFACTS}/legend.png` });
  await close();
});

test('a panel is taken away as a picture and as a table', async () => {
  const { page, close } = await open(browser, server.url);
  const fast = panel(page, 'fast');
  await fast.locator('canvas').waitFor();
  await page.waitForTimeout(1000);
  const take = async (name: string) => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      fast.getByRole('button', { name }).click(),
    ]);
    return [download.suggestedFilename(), readFileSync(await download.path())] as const;
  };
  const [csv, table] = await take('fast as a CSV file');
  expect(csv).toBe('fast.csv');
  const [head, first] = table.toString().split('\r\n');
  expect(head).toBe('time,metric,room,value,min,max');
  expect(first).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z,fast,(hall|attic),/);
  const [png, picture] = await take('fast as a PNG picture');
  expect(png).toBe('fast.png');
  expect(picture.subarray(1, 4).toString()).toBe('PNG');
  const size = await page.evaluate(async (base64) => {
    const image = new Image();
    image.src = `data:image/png;base64,${base64}`;
    await image.decode();
    return [image.width, image.height];
  }, picture.toString('base64'));
  const canvas = await fast
    .locator('canvas')
    .evaluate((node) => [(node as HTMLCanvasElement).width, (node as HTMLCanvasElement).height]);
  expect(size[0]).toBe(canvas[0]! + 28);
  expect(size[1]).toBeGreaterThan(canvas[1]! + 40);
  await close();
});

test('who asked for less motion has pictures that move once a second', LONG, async () => {
  const moves = async (reducedMotion: 'reduce' | 'no-preference') => {
    const { page, close } = await open(browser, server.url, {
      reducedMotion,
      init: () => {
        const counted = window as unknown as { cleared: number };
        counted.cleared = 0;
        const { clearRect } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.clearRect = function clear(...rest) {
          counted.cleared += 1;
          clearRect.apply(this, rest);
        };
      },
    });
    await panel(page, 'fast').locator('canvas').waitFor();
    await page.getByRole('radio', { name: '30s', exact: true }).check({ force: true });
    await page.waitForTimeout(1000);
    const count = () => page.evaluate(() => (window as unknown as { cleared: number }).cleared);
    const before = await count();
    await page.waitForTimeout(3000);
    const after = await count();
    await close();
    return (after - before) / 3;
  };
  const still = await moves('reduce');
  // Two panels are drawn.
  expect(still).toBeLessThan(4);
  expect(await moves('no-preference')).toBeGreaterThan(1.5 * still);
});
