/** Names of any text, as Prometheus 3 has them: on panels, in search, legends, files, dashboards. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open, panel, points } from './browser.ts';
import { Server } from './server.ts';

const NAME = 'http.server.duration';
let browser: Browser;
let server: Server;
let publishing: ReturnType<typeof setInterval>;
const folder = mkdtempSync(join(tmpdir(), 'pushsvc-names-'));
beforeAll(async () => {
  const chosen = { id: 'a', title: 'Hall', kind: 'line', select: `{"${NAME}","a.b"="зал"}` };
  writeFileSync(join(folder, 'names.json'), JSON.stringify({ title: 'Names', panels: [chosen] }));
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_DASHBOARDS_PROVISIONED: folder }),
  ]);
  const publish = () =>
    server.publish(
      { name: NAME, labels: { 'a.b': 'зал', job: 'x' }, value: 1 },
      { name: NAME, labels: { 'a.b': 'двор', job: 'x' }, value: 2 },
      { name: 'up', value: 1 },
    );
  await publish();
  publishing = setInterval(() => void publish().catch(() => {}), 200);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
  rmSync(folder, { recursive: true });
});

test('the overview shows, finds and exports them', async () => {
  const { page, failures, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  const found = panel(page, NAME);
  await found.locator('canvas').waitFor();
  await page.getByRole('searchbox').fill('server.dur');
  await expect.poll(() => panel(page, 'up').count()).toBe(0);
  await found.locator('.legend').getByRole('button', { name: 'двор' }).waitFor();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    found.getByRole('button', { name: 'as a CSV file' }).click(),
  ]);
  expect(readFileSync(await download.path(), 'utf8')).toMatch(/^time,metric,a\.b,/);
  // What is hidden is in the address, and a copied one hides it again.
  await found.locator('.legend').getByRole('button', { name: 'двор' }).click();
  const copied = await open(browser, page.url());
  await expect
    .poll(() =>
      panel(copied.page, NAME)
        .locator('.legend')
        .getByRole('button', { name: 'двор' })
        .getAttribute('aria-pressed'),
    )
    .toBe('false');
  await page.screenshot({ path: `${ARTIFACTS}/names.png` });
  expect([...failures, ...copied.failures]).toEqual([]);
  await copied.close();
  await close();
});

test('a dashboard selects them in quotes', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/names`);
  await expectFreshness(page, 'Live');
  await panel(page, 'Hall').locator('canvas').waitFor();
  await expect
    .poll(async () => (await points(page, NAME, { 'a.b': 'зал', job: 'x' })).length)
    .toBeGreaterThan(2);
  await expect.poll(() => panel(page, 'Hall').innerText()).not.toContain('двор');
  expect(failures).toEqual([]);
  await close();
});
