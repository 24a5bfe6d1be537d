/** The page under a path of a host that has others, behind nginx as the doctor would have it. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectFreshness, LONG, launch, open, panel } from './browser.ts';
import { Nginx } from './nginx.ts';
import { Server } from './server.ts';

const folder = mkdtempSync(join(tmpdir(), 'pushsvc-dashboards-'));
let browser: Browser;
let nginx: Nginx;
const publishing: ReturnType<typeof setInterval>[] = [];

beforeAll(async () => {
  const kept = {
    PUSHSVC_DASHBOARDS_DIRECTORY: folder,
    PUSHSVC_WEB_TRUSTED_PROXIES: '127.0.0.1',
  };
  const [stripped, kept_] = await Promise.all([
    Server.start('serve', 0, kept),
    Server.start('serve', 0, { ...kept, PUSHSVC_SERVER_BASE_PATH: '/whole/path' }),
  ]);
  for (const server of [stripped, kept_]) {
    const publish = () => server.publish({ name: 'load', value: Math.random() });
    await publish();
    publishing.push(setInterval(publish, 250));
  }
  [browser, nginx] = await Promise.all([
    launch(),
    Nginx.start({
      '/stripped/': `http://127.0.0.1:${stripped.port}/`,
      '/whole/path': `http://127.0.0.1:${kept_.port}`,
    }),
  ]);
});
afterAll(async () => {
  publishing.forEach(clearInterval);
  await nginx?.stop();
  await Server.stopAll();
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  ['/stripped', 'mine', LONG],
  ['/whole/path', 'mine-too', {}],
] as const)('under %s', (path, mine, often) => {
  test('all that the page asks for lies under that path, and is there', often, async () => {
    const { page, failures, close } = await open(browser, 'about:blank');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('websocket', (socket) => asked.push(socket.url().replace('ws:', 'http:')));
    const refused: string[] = [];
    page.on('response', (answer) => {
      if (answer.status() >= 400) {
        refused.push(`${answer.status()} ${answer.url()}`);
      }
    });

    // Without its slash, as people type it.
    await page.goto(`${nginx.url}${path}`);
    await panel(page, 'load').waitFor();
    await expectFreshness(page, 'Live');
    expect(page.url()).toBe(`${nginx.url}${path}/`);
    expect(await page.locator('.transport').textContent()).toContain('WebSocket');

    // A dashboard that comes with it, and back.
    await page.getByRole('button', { name: 'Dashboard: All metrics' }).click();
    await page.getByRole('link', { name: 'This service' }).click();
    await page.waitForURL(`${nginx.url}${path}/d/*`);
    await page.getByRole('link', { name: 'Kiosk' }).waitFor();
    const view = await page.getByRole('link', { name: 'Kiosk' }).evaluate((node) => {
      return (node as HTMLAnchorElement).href;
    });
    expect(view).toMatch(new RegExp(`^${nginx.url}${path}/d/[^/]+\\?.*kiosk`));
    await page.goto(view);
    await page.locator('.board').waitFor();

    // One that is made, kept, and looked at.
    await page.goto(`${nginx.url}${path}/d/${mine}?edit`);
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    const kept = page.waitForResponse((answer) => answer.request().method() === 'PUT');
    await page.getByRole('dialog').getByLabel('Name').press('Enter');
    expect((await kept).status()).toBe(201);
    await page.goto(`${nginx.url}${path}/d/${mine}`);
    await page.locator('.board').waitFor();

    await page.goto(`${nginx.url}${path}/doctor`);
    await page.getByLabel('Look for cuts').selectOption('5');
    await page.getByRole('button', { name: 'Examine' }).click();
    await page.getByRole('heading', { name: 'This path is healthy' }).waitFor({ timeout: 30_000 });
    await page.getByRole('link', { name: 'pushsvc', exact: true }).click();
    await page.waitForURL(`${nginx.url}${path}/`);

    expect(asked.filter((url) => !url.startsWith(`${nginx.url}${path}`))).toEqual([]);
    // What isn't kept yet is asked for.
    expect(
      refused.filter((line) => !line.endsWith(`404 ${nginx.url}${path}/v1/dashboards/${mine}`)),
    ).toEqual([]);
    expect(failures).toEqual([]);
    await close();
  });

  test('a page of others finds the service where it took the library from', async () => {
    const { page, close } = await open(browser, `${nginx.url}${path}/openapi.json`);
    // A text, since the compiler of this test would make another thing of an import.
    const series = await page.evaluate(`import('${nginx.url}${path}/client.js').then(
      ({ connect }) => new Promise((resolve) => {
        connect().subscribe('load', { onPoints: ([point]) => resolve(point.series.name) });
      }),
    )`);
    expect(series).toBe('load');
    await close();
  });
});
