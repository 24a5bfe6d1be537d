/** A dashboard that is saved elsewhere is seen here, and nobody's draft is lost by it. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ARTIFACTS, open, panel, violations } from './browser.ts';
import { goLive, newFolder } from './live.ts';
import type { Server } from './server.ts';

let browser: Browser;
let server: Server;
let stop: () => Promise<void>;
const folder = newFolder();
const provisioned = join(folder, 'provisioned');
const A = { id: 'a', title: 'A', kind: 'line', select: 'load', grid: { x: 0, y: 0, w: 6, h: 4 } };
const B = { id: 'b', title: 'B', kind: 'stat', select: 'load', grid: { x: 6, y: 0, w: 6, h: 4 } };
const provide = (dashboard: object) =>
  writeFileSync(join(provisioned, 'kept.json'), JSON.stringify(dashboard));
beforeAll(async () => {
  mkdirSync(provisioned);
  provide({ title: 'Provisioned', panels: [A] });
  ({ browser, server, stop } = await goLive({
    folder,
    environment: {
      PUSHSVC_DASHBOARDS_DIRECTORY: join(folder, 'saved'),
      PUSHSVC_DASHBOARDS_PROVISIONED: provisioned,
    },
    samples: () => [{ name: 'load', value: Math.random() }],
    everyMs: 300,
  }));
});
afterAll(() => stop?.());

const save = async (dashboard: object, condition: Record<string, string>) =>
  (
    await fetch(`${server.url}/v1/dashboards/two`, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json', ...condition },
      body: JSON.stringify(dashboard),
    })
  ).status;
const remove = () =>
  fetch(`${server.url}/v1/dashboards/two`, { method: 'DELETE', headers: { 'If-Match': '*' } });
beforeEach(async () => {
  await remove();
  expect(await save({ title: 'Two', panels: [A] }, { 'If-None-Match': '*' })).toBe(201);
});

const elsewhere = (dashboard: object) => save(dashboard, { 'If-Match': '*' });
const title = (page: Page, name: string) => page.getByRole('heading', { name, exact: true });
const SOON = { timeout: 30_000 };

test('who looks on sees the new version at once, and is told', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/two`);
  const other = await open(browser, `${server.url}/d/two?window=1m`);
  const requests: string[] = [];
  page.on('request', (request) => {
    if (request.url().includes('/v1/dashboards/')) {
      requests.push(request.url());
    }
  });
  for (const one of [page, other.page]) {
    await panel(one, 'A').locator('canvas').waitFor();
    expect(await panel(one, 'B').count()).toBe(0);
  }
  const before = await panel(page, 'A').boundingBox();
  await elsewhere({ title: 'Two and a half', panels: [A, B] });
  for (const one of [page, other.page]) {
    await title(one, 'Two and a half').waitFor(SOON);
    await panel(one, 'B').waitFor(SOON);
    const note = one.getByText('This dashboard was saved elsewhere');
    await note.waitFor();
    expect(await note.getAttribute('role')).toBe('status');
  }
  expect(await page.title()).toContain('Two and a half');
  // What is said moves nothing.
  expect(await panel(page, 'A').boundingBox()).toEqual(before);
  await page.screenshot({ path: `${ARTIFACTS}/elsewhere.png` });
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: 'Dismiss' }).click();
  expect(await page.locator('.news').count()).toBe(0);
  await elsewhere({ title: 'Three', panels: [B] });
  await title(page, 'Three').waitFor(SOON);
  await panel(page, 'A').waitFor({ state: 'detached' });
  // Nothing is asked for while nothing happens.
  const asked = requests.length;
  await page.waitForTimeout(3000);
  expect(requests.length).toBeLessThanOrEqual(asked + 1);
  expect(asked).toBeLessThan(8);
  await remove();
  await page.getByText('This dashboard was deleted elsewhere').waitFor(SOON);
  await title(page, 'Three').waitFor();
  expect([...failures, ...other.failures]).toEqual([]);
  await other.close();
  await close();
});

test('a provisioned file that is replaced is noticed as well', async () => {
  const { page, close } = await open(browser, `${server.url}/d/kept`);
  await title(page, 'Provisioned').waitFor();
  provide({ title: 'Provisioned anew', panels: [B] });
  await title(page, 'Provisioned anew').waitFor(SOON);
  await panel(page, 'B').waitFor();
  await close();
});

test('who edits is told, and keeps the draft; one’s own saving is no news', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/two?edit`);
  const told = page.getByText('Somebody else has saved this dashboard meanwhile. Your draft is');
  const grip = page.getByRole('button', { name: 'Move or size A' });
  await grip.press('ArrowRight');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Saved as two').waitFor({ state: 'attached' });
  await page.waitForTimeout(2500);
  expect(await told.count()).toBe(0);
  await grip.press('Shift+ArrowDown');
  const before = await panel(page, 'A').boundingBox();
  await elsewhere({ title: 'Theirs', panels: [B] });
  await told.waitFor(SOON);
  expect(await panel(page, 'A').boundingBox()).toEqual(before);
  await page.screenshot({ path: `${ARTIFACTS}/elsewhere-editing.png` });
  expect(await violations(page)).toEqual([]);
  await page.getByText('A: column 2, row 1, 6 wide, 5 high').waitFor({ state: 'attached' });
  await title(page, 'Two').waitFor();
  // Saving asks, as ever.
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Keep editing' }).click();
  await page.getByRole('button', { name: 'Go on with theirs' }).click();
  await title(page, 'Theirs').waitFor();
  await expect.poll(() => told.count()).toBe(0);
  await page.getByRole('button', { name: 'Undo' }).click();
  await title(page, 'Two').waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('what was missed while the server was away, or the tab out of sight, is seen then', async () => {
  const { page, close } = await open(browser, `${server.url}/d/two`);
  await title(page, 'Two').waitFor();
  const hide = (hidden: boolean) =>
    page.evaluate(
      (state) => {
        Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      },
      hidden ? 'hidden' : 'visible',
    );
  const requests: string[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/v1/dashboards/two')) {
      requests.push(request.url());
    }
  });
  await hide(true);
  // What it asked before may be told of late.
  await page.waitForTimeout(1500);
  requests.length = 0;
  await elsewhere({ title: 'Unseen', panels: [A] });
  await page.waitForTimeout(2000);
  expect(requests).toEqual([]);
  await hide(false);
  await title(page, 'Unseen').waitFor(SOON);
  await page.context().setOffline(true);
  await elsewhere({ title: 'While away', panels: [A] });
  await page.waitForTimeout(500);
  await page.context().setOffline(false);
  await title(page, 'While away').waitFor({ timeout: 30_000 });
  await close();
});
