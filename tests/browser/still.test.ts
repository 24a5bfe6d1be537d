/** Nothing moves by itself, whatever comes and goes. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, launch, noteShifts, open, shiftsOf } from './browser.ts';
import { Kinds } from './kinds.ts';

let browser: Browser;
let shown: Kinds;
beforeAll(async () => {
  [browser, shown] = await Promise.all([launch(), Kinds.start()]);
});
afterAll(async () => {
  await shown?.close();
  await browser?.close();
});

/** Of the page, in sizes that most have: width, and how many rows the bar has at the most. */
const BARS = [
  [768, '/', 2],
  [1280, '/d/kinds', 1],
  [1280, '/', 2],
  [1440, '/d/kinds', 1],
  [1440, '/', 1],
  [2560, '/', 1],
] as const;

test.each(BARS)('at %d px the bar of %s has %d row(s)', async (width, path, rows) => {
  const { page, close } = await open(browser, shown.server.url + path, {
    viewport: { width, height: 800 },
  });
  await expectFreshness(page, 'Live');
  const [bar, control] = await page.evaluate(() =>
    ['.bar', '.hold'].map((part) => document.querySelector(part)!.getBoundingClientRect().height),
  );
  expect(bar! / control!).toBeLessThan(rows === 1 ? 2 : 3.2);
  await close();
});

test('within two minutes nothing jumps, with an outage and a restart in them', {
  ...LONG,
  timeout: 240_000,
}, async () => {
  const views = await Promise.all(
    [1440, 390].flatMap((width) =>
      ['/', '/d/kinds'].map(async (path) => {
        const view = await open(browser, shown.server.url + path, {
          viewport: { width, height: 900 },
          init: noteShifts,
        });
        return { ...view, name: `${width}${path.replaceAll('/', '-')}` };
      }),
    ),
  );
  const until = Date.now() + 120_000;
  for (const { page } of views) {
    await expectFreshness(page, 'Live', 30_000);
  }
  await views[0]!.page.waitForTimeout(40_000);
  const restart = shown.restart(12_000);
  for (const { page } of views) {
    await expectFreshness(page, 'Cut', 30_000);
    await page.locator('.outage').waitFor();
  }
  await restart;
  for (const { page } of views) {
    await expectFreshness(page, 'Live', 30_000);
  }
  await views[0]!.page.waitForTimeout(Math.max(0, until - Date.now()));
  for (const { page, name, failures, close } of views) {
    const [sum, which] = await shiftsOf(page);
    await page.screenshot({ path: `${ARTIFACTS}/still-${name}.png` });
    expect.soft(sum, `${name} ${which}`).toBeLessThanOrEqual(0.02);
    expect.soft(failures).toEqual([]);
    await close();
  }
});
