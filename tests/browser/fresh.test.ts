/** What isn't fresh loses its colour everywhere at once, and is said to be what it is. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open, panel } from './browser.ts';
import { Server } from './server.ts';

const BOARD = {
  title: 'Fresh',
  window: '1m',
  panels: [
    { id: 'dial', title: 'Dial', kind: 'gauge', select: 'load', max: 2 },
    { id: 'stat', title: 'Stat', kind: 'stat', select: 'load{host="a"}' },
    { id: 'lines', title: 'Lines', kind: 'line', select: 'load' },
  ],
};

let browser: Browser;
let server: Server;
const folder = mkdtempSync(join(tmpdir(), 'pushsvc-fresh-'));
beforeAll(async () => {
  writeFileSync(join(folder, 'fresh.json'), JSON.stringify(BOARD));
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_DASHBOARDS_PROVISIONED: folder }),
  ]);
});
afterAll(async () => {
  await Server.stopAll();
  await browser?.close();
  rmSync(folder, { recursive: true });
});

test('a producer that stops is seen everywhere, within two intervals, and named', async () => {
  const publish = () =>
    server.publish(
      { name: 'load', labels: { host: 'a' }, value: 1 },
      { name: 'load', labels: { host: 'b' }, value: 0.5 },
    );
  await publish();
  const publishing = setInterval(() => void publish().catch(() => {}), 1000);
  const { page, failures, close } = await open(browser, `${server.url}/d/fresh`, {
    viewport: { width: 1440, height: 900 },
  });
  await expectFreshness(page, 'Live');
  const stroke = () =>
    panel(page, 'Dial')
      .locator('.reached')
      .first()
      .evaluate((path) => getComputedStyle(path).stroke);
  const colour = () =>
    panel(page, 'Stat')
      .locator('.large')
      .first()
      .evaluate((figure) => getComputedStyle(figure).color);
  await panel(page, 'Dial').getByRole('meter').first().waitFor();
  await page.waitForTimeout(8000);
  await expectFreshness(page, 'Live');
  const [live, vivid] = [await stroke(), await colour()];
  clearInterval(publishing);
  const stopped = Date.now();
  await expectFreshness(page, 'Stale', 5000);
  await expect.poll(stroke, { interval: 20 }).not.toBe(live);
  await expect.poll(colour, { interval: 20 }).not.toBe(vivid);
  await panel(page, 'Lines').getByText('producer silent').waitFor();
  // Two intervals since the last sample, what frames may be late by, and the beat of the page.
  expect(Date.now() - stopped).toBeLessThan(3500);
  expect(await page.title()).toMatch(/^Stale · Fresh/);
  await page.screenshot({ path: `${ARTIFACTS}/stale.png` });
  await publish();
  await expectFreshness(page, 'Live');
  await expect.poll(() => page.title()).toMatch(/^Fresh/);
  expect(failures).toEqual([]);
  await server.stop('SIGKILL');
  await expectFreshness(page, 'Cut');
  await panel(page, 'Lines').getByText('no server for').waitFor();
  expect(await page.title()).toMatch(/^Cut · /);
  await page.screenshot({ path: `${ARTIFACTS}/cut.png` });
  await close();
});
