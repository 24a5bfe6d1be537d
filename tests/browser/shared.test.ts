/** Pages at servers that share a log: which one answers makes no difference, and an outage is told. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { RoundRobin } from './balancer.ts';
import {
  ARTIFACTS,
  expectFreshness,
  LONG,
  launch,
  open,
  panel,
  points,
  violations,
} from './browser.ts';
import { Server } from './server.ts';
import { Valkey } from './valkey.ts';

let browser: Browser;
let valkey: Valkey;
let servers: Server[];
let balancer: RoundRobin | null = null;
beforeAll(async () => {
  [browser, valkey] = await Promise.all([launch(), Valkey.start()]);
  const environment = { PUSHSVC_JOURNAL_URL: valkey.url };
  servers = await Promise.all([0, 0].map((port) => Server.start('serve', port, environment)));
});
afterAll(async () => {
  await Server.stopAll();
  await valkey?.stop();
  await browser?.close();
});
afterEach(() => {
  balancer?.stop();
  balancer = null;
});

/** The address of all servers, where requests with such headers don't get through. */
async function balanced(refused: RegExp | null): Promise<string> {
  balancer = new RoundRobin(
    servers.map(({ url }) => url),
    refused,
  );
  return balancer.start();
}

const carriedBy = (page: Page, name: string) =>
  expect.poll(() => page.locator('.connection .transport').textContent()).toBe(name);
const values = async (page: Page, name: string) =>
  (await points(page, name)).map(([, value]) => value);

const chart = (select: string, x: number) => ({
  id: select,
  title: select,
  kind: 'line',
  select,
  grid: { x, y: 0, w: 6, h: 4 },
});
const save = async (server: Server, name: string, dashboard: object, etag?: string) => {
  const response = await fetch(`${server.url}/v1/dashboards/${name}`, {
    method: 'PUT',
    headers: {
      'Content-Type': 'application/json',
      ...(etag === undefined ? { 'If-None-Match': '*' } : { 'If-Match': etag }),
    },
    body: JSON.stringify(dashboard),
  });
  expect(response.ok, await response.text()).toBe(true);
  return response.headers.get('ETag')!;
};

describe.each([
  ['WebSocket', null],
  ['SSE', /websocket/],
  ['long poll', /websocket|event-stream/],
] as const)('a page on %s whose requests go to one server after the other', (name, refused) => {
  test('shows a dashboard that is saved at another, and what is added to it, at once', async () => {
    const [one, other] = servers as [Server, Server];
    const dashboard = name.toLowerCase().replace(' ', '-');
    const [a, b] = ['a', 'b'].map((letter) => `${letter}_${dashboard.replace('-', '_')}`);
    const [A, B] = [chart(a!, 0), chart(b!, 6)];
    const publish = (server: Server, value: number) =>
      server.publish({ name: a!, value }, { name: b!, value });
    let etag = await save(one, dashboard, { title: 'Two', panels: [A] });
    for (let value = 0; value < 3; value += 1) {
      await publish(one, value);
    }
    const url = `${await balanced(refused)}/d/${dashboard}`;
    const { page, failures, close } = await open(browser, url);
    await expectFreshness(page, 'Live');
    await carriedBy(page, name);
    await expect.poll(() => values(page, a!)).toContain(2);
    // The server that is told of the new panel's selector may be another one than the stream's.
    for (const [server, title, panels] of [
      [other, 'Three', [A, B]],
      [one, 'Four', [A]],
      [other, 'Five', [A, B]],
    ] as const) {
      etag = await save(server, dashboard, { title, panels }, etag);
      await page.getByRole('heading', { name: title, exact: true }).waitFor({ timeout: 30_000 });
      await expect.poll(() => panel(page, b!).count()).toBe(panels.length - 1);
    }
    await expect.poll(() => values(page, b!)).toContain(2);
    await publish(other, 3);
    for (const series of [a!, b!]) {
      await expect.poll(() => values(page, series)).toContain(3);
      const seen = await values(page, series);
      expect(seen, series).toEqual([...new Set(seen)].sort());
    }
    expect(await page.getByText('don’t share a journal').count()).toBe(0);
    expect(failures).toEqual([]);
    await close();
  });
});

test.each([
  ['WebSocket', null],
  ['long poll', /websocket|event-stream/],
] as const)('an outage of the log, on %s', LONG, async (name, refused) => {
  const [one, other] = servers as [Server, Server];
  const { page, failures, close } = await open(browser, await balanced(refused), {
    viewport: { width: 1280, height: 720 },
  });
  const load = `load_${name.toLowerCase().replace(' ', '_')}`;
  for (let value = 0; value < 5; value += 1) {
    await one.publish({ name: load, value });
    await page.waitForTimeout(100);
  }
  await expectFreshness(page, 'Live');
  await carriedBy(page, name);
  await expect.poll(() => values(page, load)).toContain(4);
  await valkey.kill();
  await expectFreshness(page, 'Log away', 30_000);
  // It says so in words, draws what it has, and stays connected.
  const outage = page.locator('.outage [role=status]');
  await expect.poll(() => outage.textContent()).toContain('can’t reach its log');
  await expect
    .poll(() => panel(page, load).locator('.chip.silent').textContent(), { timeout: 60_000 })
    .toMatch(/log away for/);
  expect(await values(page, load)).toContain(4);
  expect(await page.getByText('producer silent').count()).toBe(0);
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: `${ARTIFACTS}/log-away-${name.replace(' ', '-')}.png` });
  await valkey.begin();
  // Producers go on, too: a series that had one sample is soon silent again.
  await expect
    .poll(
      async () => {
        await other.publish({ name: load, value: 5 }).catch(() => {});
        return page.locator('.connection strong').textContent();
      },
      { timeout: 60_000, interval: 300 },
    )
    .toBe('Live');
  await expect.poll(() => outage.count()).toBe(0);
  await expect.poll(() => values(page, load)).toContain(5);
  expect(await values(page, load)).toContain(4);
  expect(failures).toEqual([]);
  await close();
});
