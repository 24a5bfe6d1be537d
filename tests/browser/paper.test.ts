/** The page on paper: as a PDF from Chromium, and what is on its sheets. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  ARTIFACTS,
  colouredPixels,
  expectFreshness,
  LONG,
  launch,
  open,
  panel,
  points,
} from './browser.ts';
import { Kinds, LONG_TITLE } from './kinds.ts';
import { PYTHON, Server } from './server.ts';

/** See `paper.py`. */
interface Sheet {
  readonly text: string;
  readonly dark: number;
  readonly coloured: number;
}

/** Sheets of A6, A4 upright, A4 and A3 lying, between their margins, in CSS pixels. */
const WIDTHS = [320, 718, 1047, 1511];

let browser: Browser;
let shown: Kinds;
beforeAll(async () => {
  [browser, shown] = await Promise.all([launch(), Kinds.start()]);
});
afterAll(async () => {
  await shown?.close();
  await browser?.close();
});

/**
 * What is on paper. The reader of PDF guesses from the places of letters where there are spaces, and
 * now and then finds none on a whole sheet: then it is printed again.
 */
async function print(page: Page, name: string): Promise<Sheet[]> {
  let sheets = await printOnce(page, name);
  for (let again = 0; again < 3 && sheets.some(({ text }) => /\S{40}/.test(text)); again += 1) {
    sheets = await printOnce(page, name);
  }
  return sheets;
}

async function printOnce(page: Page, name: string): Promise<Sheet[]> {
  const path = `${ARTIFACTS}/${name}.pdf`;
  await page.pdf({
    path,
    format: 'A4',
    printBackground: true,
    margin: { top: '1cm', bottom: '1cm', left: '1cm', right: '1cm' },
  });
  const reader = fileURLToPath(new URL('paper.py', import.meta.url));
  const { stdout } = await promisify(execFile)(PYTHON, [reader, path]);
  const sheets = JSON.parse(stdout) as Sheet[];
  return sheets.map((sheet) => ({ ...sheet, text: sheet.text.replaceAll(/\s+/g, ' ') }));
}

/** Dark on white, without controls. */
function expectPaper(sheets: readonly Sheet[]): void {
  for (const { text, dark } of sheets) {
    expect(dark).toBeLessThan(0.15);
    expect(text).not.toMatch(/Pause|Edit|Kiosk|Filter|Reload|min · max|Show fewer/);
  }
  expect(Math.max(...sheets.map(({ coloured }) => coloured))).toBeGreaterThan(0.005);
}

/** What prepares paper is loaded by itself, after the page. */
async function prepared(page: Page): Promise<void> {
  const url = () =>
    page.evaluate(() =>
      performance
        .getEntriesByType('resource')
        .map(({ name }) => name)
        .find((name) => /\/afterwards-[^/]*\.js$/.test(name)),
    );
  await expect.poll(url).toBeTruthy();
  await page.evaluate(`import(${JSON.stringify(await url())})`);
}

test.each(WIDTHS)(
  'charts are laid out for paper %d px wide: all drawn, none stretched, each within its panel',
  async (wide) => {
    const { page, failures, close } = await open(browser, `${shown.server.url}/d/kinds`, {
      viewport: { width: wide, height: 300 },
    });
    await expectFreshness(page, 'Live');
    await panel(page, 'Load now').getByRole('meter').first().waitFor();
    await prepared(page);
    await page.emulateMedia({ media: 'print' });
    const charts = page.locator('article canvas');
    await expect.poll(() => charts.count()).toBe(4);
    for (const chart of await charts.all()) {
      const { stretch, over, inked, width } = await chart.evaluate((node) => {
        const canvas = node as HTMLCanvasElement;
        const { width, height } = canvas;
        const box = canvas.getBoundingClientRect();
        const around = canvas.closest('article')!.getBoundingClientRect();
        const { data } = canvas.getContext('2d')!.getImageData(0, 0, width, height);
        return {
          width: box.width,
          stretch: box.width / box.height / (width / height),
          over: Math.max(
            box.right - around.right,
            box.bottom - around.bottom,
            around.left - box.left,
          ),
          inked: data.filter((value, at) => at % 4 === 3 && value > 100).length,
        };
      });
      expect(stretch).toBeCloseTo(1, 1);
      expect(over).toBeLessThan(0);
      // Of 330 pixels, in letters of nine.
      expect(width).toBeGreaterThan(260);
      expect(width).toBeLessThan(750);
      expect(inked).toBeGreaterThan(1000);
    }
    // All rows, and each in its panel.
    const rows = page.locator('article').filter({ hasText: 'series' }).getByRole('row');
    await expect.poll(() => rows.count()).toBe(31);
    const below = await page.evaluate(() =>
      [...document.querySelectorAll('article :is(tr, li, .times)')]
        .filter((row) => {
          const around = row.closest('article')!.getBoundingClientRect();
          return row.getBoundingClientRect().bottom > around.bottom;
        })
        .map((row) => row.textContent),
    );
    expect(below).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}/print-${wide}.png`, fullPage: true });
    expect(failures).toEqual([]);
    await close();
  },
);

test('a dashboard on paper, from a screen that shows little of it', async () => {
  const { page, failures, close } = await open(browser, `${shown.server.url}/d/kinds`, {
    viewport: { width: 1000, height: 400 },
    colorScheme: 'dark',
  });
  await expectFreshness(page, 'Live');
  await panel(page, 'Load now').getByRole('meter').first().waitFor();
  await prepared(page);
  const sheets = await print(page, 'paper-dashboard');
  expectPaper(sheets);
  const holds = (text: string) => sheets.filter((sheet) => sheet.text.includes(text));
  for (const title of ['Load now', 'Heat', 'Up', 'Rows', LONG_TITLE, 'Mixed', 'Started']) {
    expect([title, holds(title).length]).toEqual([title, 1]);
  }
  // With what they show: a panel is on one sheet.
  expect(holds('Mixed')).toEqual(holds('3 of 4 matching series are shown'));
  expect(holds(LONG_TITLE)[0]!.text).toMatch(/(\b1\d\d\b.*){8}/);
  expect(holds('Rows')[0]!.text).toMatch(/(\d+ 1\d\d 1\d\d 1\d\d 1\d\d ){30}/);
  expect(sheets[0]!.text).toMatch(/Live 1m until \d+ \w+ \d{4}, \d\d:\d\d:\d\d/);
  // The screen is as it was.
  const canvas = panel(page, 'Heat').locator('canvas');
  await expect
    .poll(() =>
      canvas.evaluate((node) => {
        const { width, height } = node.getBoundingClientRect();
        const place = node.parentElement!.getBoundingClientRect();
        return Math.abs(width - place.width) + Math.abs(height - place.height);
      }),
    )
    .toBeLessThan(1);
  expect(failures).toEqual([]);
  await close();
});

test('all metrics on paper, from a phone', async () => {
  const { page, failures, close } = await open(browser, shown.server.url, {
    viewport: { width: 390, height: 600 },
    deviceScaleFactor: 3,
  });
  await expectFreshness(page, 'Live');
  await panel(page, 'load').locator('canvas').waitFor();
  await page.locator('.states').first().waitFor({ state: 'attached' });
  await prepared(page);
  const sheets = await print(page, 'paper-all');
  expectPaper(sheets);
  expect(sheets.map(({ text }) => text).join(' ')).toMatch(/busy 1\.\d+ calm 0\.\d+ ill 1\.\d+/);
  expect(failures).toEqual([]);
  await close();
});

test(
  'of many series those out of sight are fetched to be printed, or say that they weren’t',
  LONG,
  async () => {
    const server = await Server.start();
    const now = Date.now();
    const names = Array.from('abcdefghijkl', (letter) => `metric_${letter}`);
    for (const back of [20_000, 10_000, 0]) {
      await server.publish(
        ...names.flatMap((name) =>
          Array.from({ length: 20 }, (_, row) => ({
            name,
            labels: { row: `${row}` },
            value: 1000 + row * 10,
            time: now - back,
          })),
        ),
        { name: 'zone', kind: 'state', value: 'green', time: now - back },
      );
    }
    const { page, failures, close } = await open(browser, server.url, {
      viewport: { width: 600, height: 300 },
      init: () => {
        const printed: number[] = [];
        Object.assign(window, { printed, print: () => printed.push(Date.now()) });
      },
    });
    await expect.poll(() => points(page, 'metric_a', { row: '7' })).toHaveLength(3);
    await prepared(page);
    const told = /Not loaded, as it was out of sight\. Ctrl\+P/g;
    const texts = async (name: string) =>
      (await print(page, name)).map(({ text }) => text).join(' ');
    // The browser's menu prints what there is.
    const some = await texts('paper-unloaded');
    const panels = await page.locator('article.panel').count();
    const unloaded = await page.locator('article[data-unloaded]').count();
    expect(some.match(told)).toHaveLength(unloaded);
    expect(unloaded).toBeGreaterThan(4);
    expect(unloaded).toBeLessThan(panels);
    expect(some).toMatch(/19 1\.19 k/);
    // The keys fetch the rest first.
    await page.keyboard.press('Control+p');
    await expect.poll(() => page.evaluate('printed.length')).toBe(1);
    expect(await page.locator('.news').count()).toBe(0);
    // Drawn as lines, as those are that were streamed.
    const drawn = async (name: string): Promise<number> => {
      // To paper anew each time: the last printing may not be over for the page yet.
      await page.emulateMedia({ media: null });
      await page.emulateMedia({ media: 'print' });
      return colouredPixels(page, name);
    };
    await expect.poll(() => drawn('metric_a')).toBeGreaterThan(0);
    const lines = await drawn('metric_a');
    await expect.poll(() => drawn('metric_l')).toBeGreaterThan(lines / 2);
    await page.emulateMedia({ media: null });
    const all = await texts('paper-loaded');
    expect(all).not.toMatch(told);
    expect(all.match(/19 1\.19 k/g)).toHaveLength(names.length);
    expect(all).toMatch(/ green /);
    // Nothing more is streamed than before.
    const { length } = await points(page, 'metric_l', { row: '7' });
    await server.publish({ name: 'metric_l', labels: { row: '7' }, value: 5 });
    await server.publish({ name: 'metric_a', labels: { row: '7' }, value: 5 });
    await expect.poll(() => points(page, 'metric_a', { row: '7' })).toHaveLength(4);
    expect([length, (await points(page, 'metric_l', { row: '7' })).length]).toEqual([3, 3]);
    expect(failures).toEqual([]);
    await close();
    await server.stop();
  },
);
