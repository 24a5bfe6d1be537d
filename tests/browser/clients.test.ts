/** The page of who sends and who watches, as both come, are refused, and go. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, launch, open } from './browser.ts';
import { Server } from './server.ts';

let browser: Browser;
let server: Server;
beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});
afterAll(async () => {
  await Server.stopAll();
  await browser?.close();
});

test('who sends, what of it is refused and why, and who watches', async () => {
  const { page, close } = await open(browser, `${server.url}/clients`);
  const sending = page.getByRole('region', { name: 'Who sends' }).first();
  const watching = page.getByRole('region', { name: 'Who watches' }).first();
  await sending.getByText('Nobody has sent anything').waitFor();
  await watching.getByText('Nobody watches').waitFor();

  await server.publish({ name: 'a', value: 1 });
  const row = sending.getByRole('row').filter({ hasText: 'HTTP API' });
  await expect.poll(() => row.innerText()).toMatch(/^Sends\s[\s\S]*127\.0\.0\.1/);
  // Of a name that nobody may read as something else.
  await fetch(`${server.url}/api/v2/write`, {
    method: 'POST',
    body: 'cpu load=1\nno line\u202e at all',
    headers: { 'User-Agent': 'Telegraf/1.30 \u00e9' },
  });
  const refused = sending.locator('.error');
  await expect.poll(() => refused.innerText()).toMatch(/^Refused: a sample or line\. Last, /);
  expect(await refused.innerText()).toContain('\\u202e');
  await expect.poll(() => sending.locator('tbody').first().innerText()).toMatch(/^Refused/);

  const looking = await open(browser, server.url);
  await expect.poll(() => watching.getByRole('row').nth(1).innerText()).toMatch(/^Keeps up/);
  await page.screenshot({ path: `${ARTIFACTS}/clients.png`, fullPage: true });
  await looking.close();
  await watching.getByText('Nobody watches').waitFor();

  await server.stop('SIGKILL');
  await sending.getByText('The service doesn’t tell: it can’t be reached').waitFor();
  await sending.getByText('This is what it said before.').waitFor();
  expect(await sending.getByRole('row').count()).toBeGreaterThan(1);
  await close();
});
