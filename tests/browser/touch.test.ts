/** A phone: what is pressed is as large as a finger, and panels have an order that can be changed. */

import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, open, panel } from './browser.ts';
import { goLive, newFolder } from './live.ts';
import type { Server } from './server.ts';

const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
  deviceScaleFactor: 2,
};

let browser: Browser;
let server: Server;
let stop: () => Promise<void>;
const folder = newFolder();
beforeAll(async () => {
  ({ browser, server, stop } = await goLive({
    folder,
    environment: { PUSHSVC_DASHBOARDS_DIRECTORY: join(folder, 'saved') },
    samples: () => [
      ...Array.from({ length: 12 }, (_, core) => ({
        name: 'cpu_usage',
        labels: { core: String(core) },
        unit: 'ratio',
        value: (core + 1) / 20 + 0.02 * Math.sin(Date.now() / 2000 + core),
      })),
      { name: 'service_up', kind: 'state', value: true },
      { name: 'requests', kind: 'counter', value: Math.floor(Date.now() / 10) % 1e7 },
    ],
    everyMs: 300,
  }));
});
afterAll(() => stop?.());
beforeEach(async () => {
  const url = `${server.url}/v1/dashboards/three`;
  await fetch(url, { method: 'DELETE', headers: { 'If-Match': '*' } });
  const place = (x: number, y: number, w: number) => ({ x, y, w, h: 4 });
  expect(
    await server.save('three', {
      title: 'Three',
      variables: [{ name: 'core', label: 'core', select: 'cpu_usage' }],
      panels: [
        { id: 'c', title: 'C', kind: 'table', select: 'cpu_usage', grid: place(0, 4, 12) },
        { id: 'a', title: 'A', kind: 'line', select: 'cpu_usage', grid: place(0, 0, 6) },
        { id: 'b', title: 'B', kind: 'stat', select: 'requests', grid: place(6, 0, 6) },
      ],
    }),
  ).toBe(201);
});

/** What can be pressed, is seen, and is smaller than `least` pixels one way or the other. */
function smaller(page: Page, least: number, part = 'body'): Promise<string[]> {
  return page.evaluate(
    ([least, part]) =>
      [
        ...document.querySelectorAll<HTMLElement>(
          `${part} :is(button, a, input, select, summary, label.button, [role="option"])`,
        ),
      ]
        .filter((element) => {
          // What is unseen is pressed by its label; a link within a sentence is as high as that.
          const label = element.closest('label');
          const pressed = element.matches('label input') && label !== null ? label : element;
          const { width, height } = pressed.getBoundingClientRect();
          const sentence = getComputedStyle(element).display === 'inline' && element.matches('p a');
          const unseen = element.matches('.unseen, .skip') || !element.checkVisibility();
          return !(unseen || sentence) && Math.min(width, height) < least - 0.01;
        })
        .map((element) => element.outerHTML.slice(0, 120)),
    [least, part] as const,
  );
}

test.each(['light', 'dark'] as const)(
  'nothing that is pressed is smaller than a finger needs (%s)',
  async (colorScheme) => {
    const { page, failures, close } = await open(browser, server.url, { ...PHONE, colorScheme });
    await expectFreshness(page, 'Live');
    await panel(page, 'cpu_usage').locator('canvas').waitFor();
    expect(await smaller(page, 32)).toEqual([]);
    expect(await smaller(page, 44, '.controls')).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}/touch-overview-${colorScheme}.png` });
    await page.getByRole('button', { name: 'Dashboard: All metrics' }).tap();
    await page.getByRole('link', { name: 'Three' }).waitFor();
    expect(await smaller(page, 44, '.menu')).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}/touch-menu-${colorScheme}.png` });
    await page.getByRole('link', { name: 'Three' }).tap();
    await panel(page, 'A').locator('canvas').waitFor();
    expect(await smaller(page, 32)).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}/touch-board-${colorScheme}.png` });
    await page.getByRole('button', { name: 'Edit', exact: true }).tap();
    await page.getByRole('button', { name: 'Move A down' }).waitFor();
    expect(await smaller(page, 32)).toEqual([]);
    expect(await smaller(page, 44, '.tools')).toEqual([]);
    expect(await smaller(page, 44, '.handles')).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}/touch-editor-${colorScheme}.png`, fullPage: true });
    for (const button of ['Settings', 'Change A']) {
      await page.getByRole('button', { name: button, exact: true }).tap();
      await page
        .getByRole('dialog')
        .getByText(/series match/)
        .first()
        .waitFor();
      expect(await smaller(page, 32)).toEqual([]);
      expect(await smaller(page, 44, 'dialog :is(.fields, .actions, .variables)')).toEqual([]);
      await page.getByRole('button', { name: 'Cancel' }).tap();
    }
    const wider = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(wider).toBe(0);
    expect(failures).toEqual([]);
    await close();
  },
);

test('panels are put in another order, by touch and by keyboard', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/three?edit`, PHONE);
  const order = async (): Promise<string> =>
    (await page.locator('.cells .panel h3').allInnerTexts()).join(' ');
  // As one reads them, in whatever order they were added.
  await expect.poll(order).toBe('A B C');
  const down = page.getByRole('button', { name: 'Move A down' });
  await down.tap();
  await expect.poll(order).toBe('B A C');
  await page.getByText('A: 2 of 3').waitFor({ state: 'attached' });
  await down.focus();
  await page.keyboard.press('Enter');
  await expect.poll(order).toBe('B C A');
  // It goes on from where it was, wherever it is now.
  await expect.poll(() => down.evaluate((it) => document.activeElement === it)).toBe(true);
  // Further down there is no place.
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Move C up' }).tap();
  await expect.poll(order).toBe('C B A');
  await page.getByRole('button', { name: 'Save', exact: true }).tap();
  await page.getByText('Saved as three').waitFor({ state: 'attached' });
  await page.getByRole('button', { name: 'Done' }).tap();
  await page.getByRole('button', { name: 'Edit', exact: true }).waitFor();
  await expect.poll(order).toBe('C B A');
  expect(failures).toEqual([]);
  await close();
});

/** Put fingers on the page, by number; the same ones move, those that are left out are lifted. */
async function fingers(
  page: Page,
): Promise<(...places: readonly [number, number][]) => Promise<void>> {
  const session = await page.context().newCDPSession(page);
  let before = 0;
  return async (...places) => {
    const touchPoints = places.map(([x, y], id) => ({ x, y, id }));
    const type =
      places.length > before ? 'touchStart' : places.length < before ? 'touchEnd' : 'touchMove';
    before = places.length;
    await session.send('Input.dispatchTouchEvent', { type, touchPoints });
  };
}

test('two fingers zoom a chart into the time between them, and out again', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/?window=5m`, PHONE);
  await expectFreshness(page, 'Live');
  const over = panel(page, 'cpu_usage').locator('.over');
  await over.waitFor();
  const { x, y, width, height } = (await over.boundingBox())!;
  const [middle, top] = [x + width / 2, y + height / 2];
  // What reads two fingers is loaded after the picture.
  await page.waitForFunction(() =>
    performance.getEntriesByType('resource').some(({ name }) => name.includes('/pinch-')),
  );
  await page.waitForTimeout(300);
  const touch = await fingers(page);
  const apart = (by: number): [number, number][] => [
    [middle - by, top],
    [middle + by, top],
  ];
  const span = async (): Promise<number> => {
    const { searchParams } = new URL(page.url());
    const [from, to] = ['from', 'to'].map((name) => Date.parse(searchParams.get(name) ?? ''));
    return (to! - from!) / 1000;
  };
  const steps = await page.evaluate(() => history.length);
  await touch(apart(20)[0]!);
  await touch(...apart(20));
  for (let by = 25; by <= 80; by += 5) {
    await touch(...apart(by));
  }
  // A quarter of five minutes.
  const off = async (seconds: number) => Math.abs((await span()) - seconds);
  await expect.poll(() => off(75)).toBeLessThan(15);
  // Nearer together it is more again, in the same zoom.
  for (let by = 75; by >= 40; by -= 5) {
    await touch(...apart(by));
  }
  await expect.poll(() => off(150)).toBeLessThan(20);
  await touch(apart(40)[0]!);
  await touch();
  expect(await page.evaluate(() => history.length)).toBe(steps + 1);
  await page.screenshot({ path: `${ARTIFACTS}/touch-pinch.png` });
  // Neither a tap nor a drag besides.
  expect(await page.locator('.tip').count()).toBe(0);
  await page.goBack();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  // One finger pans, as it did.
  await touch([middle, top]);
  await touch([middle + 20, top]);
  await touch([middle + 60, top]);
  await touch();
  await page.getByRole('button', { name: /live/i }).first().waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('a finger that stays on a line in the legend shows it alone, and all again', async () => {
  const { page, failures, close } = await open(browser, server.url, PHONE);
  await expectFreshness(page, 'Live');
  const cpu = panel(page, 'cpu_usage');
  const entry = cpu.locator('.legend li button').first();
  await entry.scrollIntoViewIfNeeded();
  const touch = await fingers(page);
  const { x, y, width, height } = (await entry.boundingBox())!;
  const place: [number, number] = [x + width / 2, y + height / 2];
  const shown = () => cpu.locator('.legend li button[aria-pressed="true"]').count();
  const all = await shown();
  expect(all).toBeGreaterThan(3);
  const name = await entry.locator('.name').innerText();
  await touch(place);
  await expect.poll(shown, { timeout: 30_000 }).toBe(1);
  await touch();
  await page.waitForTimeout(300);
  // Lifting it is no click.
  expect(await cpu.locator('.legend li button[aria-pressed="true"] .name').innerText()).toBe(name);
  await page.screenshot({ path: `${ARTIFACTS}/touch-alone.png` });
  await touch(place);
  await expect.poll(shown, { timeout: 30_000 }).toBe(all);
  await touch();
  await entry.tap();
  await expect.poll(shown).toBe(all - 1);
  expect(failures).toEqual([]);
  await close();
});
