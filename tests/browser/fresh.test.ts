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
  await expectFreshness(page, 'Stale');
  await expect.poll(stroke, { interval: 20 }).not.toBe(live);
  await expect.poll(colour, { interval: 20 }).not.toBe(vivid);
  await panel(page, 'Lines').getByText('producer silent').waitFor();
  // By the page's own figures after 2.4 s; the rest is the machine's, which also runs the browser.
  expect(Date.now() - stopped).toBeLessThan(8000);
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

test('a page that is opened on a source that is silent says so at once', async () => {
  const other = await Server.start();
  const now = Date.now();
  for (let ago = 12; ago > 3; ago -= 1) {
    await other.publish({ name: 'rare', value: ago, time: now - ago * 25_000 });
  }
  const { page, failures, close } = await open(browser, `${other.url}/?window=15m`);
  // Not only once another two of its intervals have passed.
  await expectFreshness(page, 'Stale', 45_000);
  await panel(page, 'rare').getByText('producer silent for').waitFor();
  await page.screenshot({ path: `${ARTIFACTS}/stale-opened.png` });
  expect(failures).toEqual([]);
  await close();
});

test('a server that hangs is told from producers', LONG, async () => {
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
  await expectFreshness(page, 'Stale');
  await chip.getByText('server hangs').or(page.getByText('no answer')).first().waitFor();
  // Two intervals and what frames may be late by, then a second of patience with the answer; and
  // the machine's own, which also runs the browser.
  expect(Date.now() - hung).toBeLessThan(9000);
  await panel(page, 'load').getByText('server hangs for').waitFor();
  // And it can be read to its end.
  expect(await chip.evaluate((one) => one.scrollWidth - one.clientWidth)).toBeLessThanOrEqual(0);
  await page.screenshot({ path: `${ARTIFACTS}/hangs.png` });
  other.hang(false);
  await expectFreshness(page, 'Live');
  expect(await chip.count()).toBe(0);

  clearInterval(publishing);
  expect(failures).toEqual([]);
  await close();
});

test(
  'a server that hangs is told where only states are shown, which nobody expects',
  LONG,
  async () => {
    const other = await Server.start();
    await other.publish({ name: 'up', labels: { host: 'a' }, value: true });
    const { page, failures, close } = await open(browser, other.url);
    await expectFreshness(page, 'Live');
    const row = panel(page, 'up').locator('.states .track');
    /** How far behind now the row ends, as a share of it. */
    const behind = () =>
      row.evaluate((track) => {
        const { right, width } = track.getBoundingClientRect();
        return (right - track.lastElementChild!.getBoundingClientRect().right) / width;
      });
    await row.waitFor();
    expect(await behind()).toBeLessThan(0.002);
    other.hang(true);
    await expectFreshness(page, 'Stale', 30_000);
    await panel(page, 'up').getByText('server hangs for').waitFor();
    // What holds since then isn't known, and what is known is drawn without colour.
    await expect.poll(behind, { timeout: 30_000 }).toBeGreaterThan(0.002);
    expect(await row.evaluate((track) => getComputedStyle(track).filter)).toBe('grayscale(1)');
    await page.screenshot({ path: `${ARTIFACTS}/hangs-states.png` });
    other.hang(false);
    await expectFreshness(page, 'Live', 30_000);
    await expect.poll(behind, { timeout: 30_000 }).toBeLessThan(0.002);
    expect(failures).toEqual([]);
    await close();
  },
);

test(
  'the page is back before the try that it planned, however long it was away',
  LONG,
  async () => {
    let server = await Server.start();
    const { port } = server;
    const publish = () => server.publish({ name: 'load', value: Math.random() }).catch(() => {});
    await publish(); // what is shown of nothing is loaded late, and may come too late
    const publishing = setInterval(() => void publish(), 500);
    // Tries are as far apart as they may be. How soon the page is back to the tenth of a second,
    // wherever chance has it, is for the test of `reach.ts` with a clock of its own.
    const init = () => {
      const random = Math.random;
      Math.random = () => 0.9 + 0.1 * random();
    };
    const { page, failures, close } = await open(browser, server.url, { init });
    await expectFreshness(page, 'Live');
    const hide = (hidden: boolean) =>
      page.evaluate(
        (state) => {
          Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
          document.dispatchEvent(new Event('visibilitychange'));
        },
        hidden ? 'hidden' : 'visible',
      );
    /** Seconds until the next try that is planned, once there are at least so many. */
    const planned = async (atLeast: number): Promise<number> => {
      let seconds = 0;
      await expect
        .poll(
          async () => {
            const text = await page.locator('.outage p').textContent();
            // What is done until then is said, too.
            const plan = /Next attempt in (\d+)\ss, or as soon as the server answers\./.exec(
              text ?? '',
            );
            seconds = Number(plan?.[1] ?? 0);
            return seconds;
          },
          { interval: 20, timeout: 40_000 },
        )
        .toBeGreaterThanOrEqual(atLeast);
      return seconds;
    };
    for (const [away, hidden] of [
      ['not', false],
      ['shortly', false],
      ['long', false],
      ['long', true],
    ] as const) {
      await server.stop('SIGKILL');
      await expectFreshness(page, 'Cut');
      await page.waitForTimeout(away === 'shortly' ? 1500 : 0);
      const next =
        away === 'long' ? Date.now() + (await planned(14)) * 1000 : Number.POSITIVE_INFINITY;
      await hide(hidden);
      server = await Server.start('serve', port);
      // Where starting it took nearly as long, there is nothing to tell.
      const latest = Math.max(next, Date.now() + 8000);
      await hide(false);
      await expectFreshness(page, 'Live', 30_000);
      expect([away, hidden, Date.now() < latest]).toEqual([away, hidden, true]);
    }
    clearInterval(publishing);
    expect(failures).toEqual([]);
    await close();
  },
);
