/** What a panel draws is in the panel, on the dashboards that come with the service. */

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, launch, open } from './browser.ts';
import { Server } from './server.ts';

let server: Server;
beforeAll(async () => {
  server = await Server.start('demo');
});
afterAll(() => Server.stopAll());

/**
 * What lies outside of its panel. What a place of its own cuts or scrolls is in that place, which has
 * to be in the panel.
 */
function outside(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const found: string[] = [];
    for (const panel of document.querySelectorAll<HTMLElement>('article.panel')) {
      // What is out of sight isn't drawn.
      panel.scrollIntoView({ block: 'center' });
      await new Promise((resolve) => setTimeout(resolve, 120));
      const box = panel.getBoundingClientRect();
      const cut = (element: Element): boolean => {
        const parent = element.parentElement!;
        return parent !== panel && (getComputedStyle(parent).overflow !== 'visible' || cut(parent));
      };
      for (const element of panel.querySelectorAll('*')) {
        const { left, top, right, bottom, width, height } = element.getBoundingClientRect();
        const over = Math.max(
          box.left - left,
          box.top - top,
          right - box.right,
          bottom - box.bottom,
        );
        if (over > 1 && width > 0 && height > 0 && !element.closest('.unseen') && !cut(element)) {
          const title = panel.querySelector('h3')!.textContent;
          const names = element.getAttribute('class') ?? '';
          found.push(`${title}: ${element.tagName} ${names} by ${Math.round(over)} px`);
        }
      }
    }
    return found;
  });
}

describe.each(['host', 'service', 'kubernetes'])('of the panels of %s', (name) => {
  test('nothing lies outside', LONG, async () => {
    const browser = await launch();
    const { page, failures, close } = await open(browser, `${server.url}/d/${name}`);
    await expectFreshness(page, 'Live');
    await page.locator('article.panel').first().waitFor();
    if (name === 'host') {
      await page.locator('.dial').nth(1).waitFor();
    }
    for (const width of [390, 768, 1440, 2560]) {
      await page.setViewportSize({ width, height: 900 });
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        await expect.poll(() => outside(page), { timeout: 20_000 }).toEqual([]);
      }
      if (name === 'host') {
        const dial = page.getByRole('meter').first();
        await dial.scrollIntoViewIfNeeded();
        // The figures in it can be read.
        expect((await dial.boundingBox())!.height).toBeGreaterThan(80);
        await page.screenshot({ path: `${ARTIFACTS}/fitting-${width}.png` });
      }
    }
    expect(failures).toEqual([]);
    await close();
    await browser.close();
  });
});

test('what a field is for can be read in it, at any width', async () => {
  const browser = await launch();
  const { page, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  for (const width of [390, 768, 1280, 1440, 1920, 2560]) {
    await page.setViewportSize({ width, height: 900 });
    const cut = await page.evaluate(() => {
      const context = document.createElement('canvas').getContext('2d')!;
      return [...document.querySelectorAll<HTMLInputElement>('input[placeholder]')]
        .filter((field) => field.checkVisibility())
        .map((field) => {
          const style = getComputedStyle(field);
          context.font = style.font;
          const room =
            field.clientWidth -
            Number.parseFloat(style.paddingLeft) -
            Number.parseFloat(style.paddingRight);
          return {
            text: field.placeholder,
            room,
            needed: context.measureText(field.placeholder).width,
          };
        });
    });
    expect(cut.length).toBeGreaterThan(0);
    expect(cut.filter(({ room, needed }) => needed > room)).toEqual([]);
  }
  await close();
  await browser.close();
});
