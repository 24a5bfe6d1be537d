/** Panels of a dashboard that ask a question in PromQL, beside one that shows what is stored. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open, panel } from './browser.ts';
import { Server } from './server.ts';

let browser: Browser;
let server: Server;
/** The second value of job a; null while there is one only. */
let second: number | null = 2;
let publishing: ReturnType<typeof setInterval>;
const folder = mkdtempSync(join(tmpdir(), 'pushsvc-expressions-'));
beforeAll(async () => {
  const panels = [
    { id: 'sum', title: 'Sum', kind: 'line', select: 'sum(load) by (job)' },
    { id: 'share', title: 'Share', kind: 'stat', select: 'sum(load{job="a"}) / sum(load)' },
    { id: 'pairs', title: 'Pairs', kind: 'line', select: 'load * on (job) load' },
    { id: 'stored', title: 'Stored', kind: 'line', select: 'load{job="a"}' },
  ];
  writeFileSync(join(folder, 'asked.json'), JSON.stringify({ title: 'Asked', panels }));
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_DASHBOARDS_PROVISIONED: folder }),
  ]);
  const publish = () =>
    server.publish(
      { name: 'load', labels: { job: 'a', n: '1' }, value: 1 },
      { name: 'load', labels: { job: 'a', n: '2' }, value: second },
      { name: 'load', labels: { job: 'b', n: '1' }, value: 9 },
    );
  await publish();
  publishing = setInterval(() => void publish().catch(() => {}), 500);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
  rmSync(folder, { recursive: true });
});

test('each panel shows its own results, in two tabs that share a stream', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/asked`);
  await expectFreshness(page, 'Live');
  const other = await page.context().newPage();
  await other.goto(page.url());
  for (const tab of [page, other]) {
    const sum = panel(tab, 'Sum');
    await sum.locator('canvas').waitFor();
    const legend = sum.locator('.legend');
    await expect.poll(() => legend.textContent()).toMatch(/a\s*3\s*b\s*9$/);
    await expect.poll(() => panel(tab, 'Share').textContent()).toContain('0.25');
    const stored = panel(tab, 'Stored').locator('.legend');
    await expect.poll(() => stored.textContent()).toMatch(/1\s*1\s*2\s*2$/);
  }
  await page.screenshot({ path: `${ARTIFACTS}/expressions.png` });
  await other.close();
  expect(failures).toEqual([]);
  await close();
});

test('a panel says why its expression has no result, until it has one again', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/asked`);
  await expectFreshness(page, 'Live');
  const pairs = panel(page, 'Pairs');
  await expect
    .poll(() => pairs.textContent(), { timeout: 30_000 })
    .toMatch(/has no result: .*many-to-many/s);
  await page.screenshot({ path: `${ARTIFACTS}/no-result.png` });
  second = null;
  await expect.poll(() => pairs.locator('canvas').count(), { timeout: 30_000 }).toBe(1);
  await expect.poll(() => pairs.textContent()).not.toContain('no result');
  second = 2;
  await expect
    .poll(() => pairs.locator('.about').textContent(), { timeout: 30_000 })
    .toMatch(/no result .*many-to-many/s);
  await page.screenshot({ path: `${ARTIFACTS}/no-result-any-more.png` });
  expect(failures).toEqual([]);
  await close();
});
