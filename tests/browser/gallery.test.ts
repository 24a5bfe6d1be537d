/** Pictures of the page as many screens show it, to be looked at; and what can be told of them. */

import { mkdirSync } from 'node:fs';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, launch, open, panel } from './browser.ts';
import { Kinds } from './kinds.ts';

const GALLERY = `${ARTIFACTS}/gallery`;

const LOOKS: Readonly<Record<string, BrowserContextOptions>> = {
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  forced: { colorScheme: 'dark', forcedColors: 'active' },
};

/** With the locale of the browser's environment instead of one that is emulated. */
const BARE = { locale: undefined } as unknown as BrowserContextOptions;

let shown: Kinds;
beforeAll(async () => {
  mkdirSync(GALLERY, { recursive: true });
  shown = await Kinds.start();
});
afterAll(() => shown?.close());

/** Look at a page in one of the looks, at one width and ratio, in a file of its own. */
async function picture(
  browser: Browser,
  [width, ratio, look]: readonly [number, number, string],
  options: BrowserContextOptions,
): Promise<void> {
  const { page, failures, close } = await open(browser, `${shown.server.url}/d/kinds`, {
    viewport: { width, height: width < 500 ? 844 : Math.round(width * 0.6) },
    deviceScaleFactor: ratio,
    ...options,
  });
  for (const [name, path, first] of [
    ['kinds', '/d/kinds', 'Heat'],
    ['all', '/', 'load'],
  ] as const) {
    await page.goto(shown.server.url + path);
    await expectFreshness(page, 'Live');
    await panel(page, first).locator('canvas').waitFor();
    await page.waitForTimeout(700);
    const printed = look === 'print';
    if (printed) {
      await page.emulateMedia({ media: 'print' });
      await page.waitForTimeout(300);
    }
    const file = `${GALLERY}/${name}-${width}-${ratio}-${look}.png`;
    await page.screenshot({ path: file, fullPage: printed });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect([name, width, look, wide]).toEqual([name, width, look, width]);
    await page.emulateMedia({ media: null });
  }
  expect(failures).toEqual([]);
  await close();
}

const WIDTHS = [390, 768, 1440, 2560];

/** Pictures of 7680 pixels take their time where others are at work too. */
const PATIENT = { ...LONG, timeout: 400_000 };

test.each([1, 2, 3])('it fits any screen, at a ratio of %d', PATIENT, async (ratio) => {
  const browser = await launch([`--force-device-scale-factor=${ratio}`]);
  for (const width of WIDTHS) {
    for (const [look, options] of Object.entries(LOOKS)) {
      await picture(browser, [width, ratio, look], options);
    }
  }
  await browser.close();
});

test('it fits paper of any width', PATIENT, async () => {
  const browser = await launch();
  for (const width of WIDTHS) {
    await picture(browser, [width, 1, 'print'], { colorScheme: 'dark' });
  }
  await browser.close();
});

test('it is the same where the browser has no locale', PATIENT, async () => {
  const browser = await launch([], { LANG: 'C', LC_ALL: 'POSIX', LANGUAGE: '' });
  for (const width of WIDTHS) {
    await picture(browser, [width, 1, 'posix'], BARE);
  }
  await browser.close();
});
