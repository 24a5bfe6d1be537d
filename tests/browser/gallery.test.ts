/** Pictures of the page as many screens show it, to be looked at; and what can be told of them. */

import { mkdirSync } from 'node:fs';
import type { BrowserContextOptions } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, launch, open, panel } from './browser.ts';
import { Kinds } from './kinds.ts';

const GALLERY = `${ARTIFACTS}/gallery`;

const LOOKS: Readonly<Record<string, BrowserContextOptions>> = {
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  forced: { colorScheme: 'dark', forcedColors: 'active' },
};

let shown: Kinds;
beforeAll(async () => {
  mkdirSync(GALLERY, { recursive: true });
  shown = await Kinds.start();
});
afterAll(() => shown?.close());

test.each([1, 2, 3])('it fits any screen, at a ratio of %d', LONG, async (ratio) => {
  const browser = await launch([`--force-device-scale-factor=${ratio}`]);
  for (const width of [390, 768, 1440, 2560]) {
    for (const [look, options] of Object.entries(LOOKS)) {
      const { page, failures, close } = await open(browser, `${shown.server.url}/d/kinds`, {
        viewport: { width, height: width < 500 ? 844 : Math.round(width * 0.6) },
        deviceScaleFactor: ratio,
        ...options,
      });
      await expectFreshness(page, 'Live');
      for (const [name, first] of [
        ['kinds', 'Heat'],
        ['all', 'load'],
      ] as const) {
        if (name === 'all') {
          await page.goto(shown.server.url);
          await expectFreshness(page, 'Live');
        }
        await panel(page, first).locator('canvas').waitFor();
        await page.waitForTimeout(700);
        await page.screenshot({ path: `${GALLERY}/${name}-${width}-${ratio}-${look}.png` });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        expect([name, width, look, wide]).toEqual([name, width, look, width]);
      }
      expect(failures).toEqual([]);
      await close();
    }
  }
  await browser.close();
});
