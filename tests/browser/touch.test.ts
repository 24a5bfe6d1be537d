/** A phone: what is pressed is as large as a finger, and panels have an order that can be changed. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open, panel } from './browser.ts';
import { Server } from './server.ts';

const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
  deviceScaleFactor: 2,
};

let browser: Browser;
let server: Server;
let publishing: ReturnType<typeof setInterval>;
const folder = mkdtempSync(join(tmpdir(), 'pushsvc-touch-'));
beforeAll(async () => {
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_DASHBOARDS_DIRECTORY: join(folder, 'saved') }),
  ]);
  const publish = () =>
    server.publish(
      ...Array.from({ length: 12 }, (_, core) => ({
        name: 'cpu_usage',
        labels: { core: String(core) },
        unit: 'ratio',
        value: (core + 1) / 20 + 0.02 * Math.sin(Date.now() / 2000 + core),
      })),
      { name: 'service_up', kind: 'state', value: true },
      { name: 'requests', kind: 'counter', value: Math.floor(Date.now() / 10) % 1e7 },
    );
  await publish();
  publishing = setInterval(() => void publish().catch(() => {}), 300);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
  rmSync(folder, { recursive: true });
});
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
