/** What isn't fresh loses its colour everywhere at once, and is said to be what it is. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, launch, open, panel } from './browser.ts';
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
  // A panel with nothing to say has no line for it.
  const places = () =>
    Promise.all(
      ['Dial', 'Lines'].map((title) =>
        panel(page, title)
          .locator(':scope > :is(.chart, .large-figures)')
          .evaluate((picture) => {
            const { top, height } = picture.getBoundingClientRect();
            const heading = picture.parentElement!.querySelector('.title')!;
            return [top - heading.getBoundingClientRect().bottom, height];
          }),
      ),
    );
  const before = await places();
  expect(Math.max(...before.map(([under]) => under!))).toBeLessThan(12);
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
  // What is said of it then moves nothing.
  expect(await places()).toEqual(before);
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

test('a server that hangs is told from producers', async () => {
  const other = await Server.start();
  // Without labels, so that what is said of it stands by itself.
  const publish = () => other.publish({ name: 'load', value: Math.random() });
  await publish();
  const publishing = setInterval(() => void publish().catch(() => {}), 500);
  const { page, failures, close } = await open(browser, other.url);
  await expectFreshness(page, 'Live');
  await page.waitForTimeout(4000);
  await expectFreshness(page, 'Live');
  const chip = panel(page, 'load').locator('.chip.silent');
  other.hang(true);
  const hung = Date.now();
  await expectFreshness(page, 'Stale', 4000);
  await chip.getByText('server hangs').or(page.getByText('no answer')).first().waitFor();
  // Two intervals and what frames may be late by; then a second of patience with the answer.
  expect(Date.now() - hung).toBeLessThan(5000);
  await panel(page, 'load').getByText('server hangs for').waitFor();
  // And it can be read to its end.
  expect(await chip.evaluate((one) => one.scrollWidth - one.clientWidth)).toBeLessThanOrEqual(0);
  await page.screenshot({ path: `${ARTIFACTS}/hangs.png` });
  other.hang(false);
  await expectFreshness(page, 'Live', 4000);
  expect(await chip.count()).toBe(0);

  clearInterval(publishing);
  expect(failures).toEqual([]);
  await close();
});

test(
  'the page is back within two seconds of the port, however long it was away',
  LONG,
  async () => {
    let server = await Server.start();
    const { port } = server;
    const publish = () => server.publish({ name: 'load', value: Math.random() }).catch(() => {});
    await publish(); // what is shown of nothing is loaded late, and may come too late
    const publishing = setInterval(() => void publish(), 500);
    const { page, failures, close } = await open(browser, server.url);
    await expectFreshness(page, 'Live');
    const hide = (hidden: boolean) =>
      page.evaluate(
        (state) => {
          Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
          document.dispatchEvent(new Event('visibilitychange'));
        },
        hidden ? 'hidden' : 'visible',
      );
    const outage = page.locator('.outage p');
    for (const [away, hidden] of [
      [0, false],
      [1500, false],
      [12_000, false],
      [12_000, true],
    ] as const) {
      await server.stop('SIGKILL');
      await expectFreshness(page, 'Cut');
      await hide(hidden);
      await page.waitForTimeout(away);
      if (away > 10_000 && !hidden) {
        // What is planned is far away, and what is done until then is said.
        await expect
          .poll(() => outage.textContent(), { interval: 20 })
          .toMatch(/Next attempt in \d+\ss, or as soon as the server answers\./);
      }
      server = await Server.start('serve', port);
      const back = Date.now();
      if (hidden) {
        await hide(false);
      }
      await expectFreshness(page, 'Live', 4000);
      // Half a second is the machine's, which also runs the browser.
      expect([away, hidden, Date.now() - back < 2500]).toEqual([away, hidden, true]);
    }
    clearInterval(publishing);
    expect(failures).toEqual([]);
    await close();
  },
);
