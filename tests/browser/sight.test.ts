/** The page of all metrics asks for what is in sight, and a little more, where there is much. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  ARTIFACTS,
  expectFreshness,
  LONG,
  launch,
  noteShifts,
  open,
  panel,
  points,
  shiftsOf,
} from './browser.ts';
import { Server } from './server.ts';

const METRICS = named('metric', 300);
const PATIENT = { timeout: 30_000 };

let browser: Browser;
const ending: (() => void)[] = [];
beforeAll(async () => {
  browser = await launch();
});
afterEach(async () => {
  for (const end of ending.splice(0)) {
    end();
  }
  await Server.stopAll();
});
afterAll(async () => {
  await browser?.close();
});

function named(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${name}_${String(at).padStart(3, '0')}`);
}

/** Have something published, at once and again and again until it is ended. */
async function publish(
  server: Server,
  names: readonly string[],
  past: readonly number[] = [600_000, 400_000, 200_000],
): Promise<() => void> {
  const now = Date.now();
  for (const back of past) {
    await server.publish(...names.map((name) => ({ name, value: 1, time: now - back })));
  }
  const once = () => server.publish(...names.map((name) => ({ name, value: Math.random() })));
  await once();
  const timer = setInterval(() => void once().catch(() => {}), 500);
  const end = () => clearInterval(timer);
  ending.push(end);
  return end;
}

/** What a page says and is told. */
class Wire {
  received = '';
  readonly said: string[] = [];
  sockets = 0;
  /** Of answers to `/v1/series` and `/v1/history`. */
  readonly answers: {
    readonly path: string;
    readonly asked: string;
    readonly status: number;
  }[] = [];

  constructor(page: Page) {
    page.on('websocket', (socket) => {
      this.sockets += 1;
      socket.on('framesent', ({ payload }) => this.said.push(String(payload)));
      socket.on('framereceived', ({ payload }) => (this.received += payload));
    });
    page.on('response', (response) => {
      const { pathname: path, search } = new URL(response.url());
      if (path.startsWith('/v1/')) {
        const asked = decodeURIComponent(search);
        this.answers.push({ path, asked, status: response.status() });
      }
    });
  }

  /** How many metrics were described. */
  get described(): number {
    return new Set(this.received.match(/"metric_\d+"/g)).size;
  }

  of(path: string): number[] {
    return this.answers.filter((one) => one.path === path).map(({ status }) => status);
  }
}

/** Time of the first point that is held of a metric. */
async function first(page: Page, name: string): Promise<number> {
  return (await points(page, name))[0]?.[0] ?? Number.NaN;
}

const old = () => Date.now() - 500_000;

test(
  'of 300 metrics those in sight are streamed, and others with their past when they come',
  LONG,
  async () => {
    const server = await Server.start();
    await publish(server, METRICS);
    const { page, failures, close } = await open(browser, 'about:blank', { init: noteShifts });
    const wire = new Wire(page);
    await page.goto(server.url);
    await expectFreshness(page, 'Live');
    await expect
      .poll(async () => (await points(page, 'metric_000')).length, PATIENT)
      .toBeGreaterThan(5);
    expect(await page.locator('.figures dd').first().textContent()).toBe('300');
    expect(await page.locator('article.panel').count()).toBe(300);
    expect(wire.described).toBeLessThan(60);
    expect(wire.received).not.toContain('"metric_200"');

    const before = wire.said.length;
    await page.locator('article.panel').nth(200).scrollIntoViewIfNeeded();
    await expect.poll(() => first(page, 'metric_200'), PATIENT).toBeLessThan(old());
    expect(wire.said.slice(before).filter((text) => text.includes('watch')).length).toBeLessThan(4);
    await expectFreshness(page, 'Live');
    expect(wire.described).toBeLessThan(120);

    // One that is new is found; until then the list is the same, and so not sent.
    await expect.poll(() => wire.of('/v1/series'), PATIENT).toEqual([200, 304]);
    await server.publish({ name: 'novel', value: 1 });
    await expect.poll(() => page.getByRole('article', { name: 'novel' }).count(), PATIENT).toBe(1);
    expect(wire.of('/v1/series').filter((status) => status === 200)).toHaveLength(2);

    const [sum, which] = await shiftsOf(page);
    expect(sum, which).toBeLessThanOrEqual(0.02);

    // What is searched for is asked for alone, after a while; and all comes back.
    await page.getByRole('searchbox').fill('metric_100');
    await expect.poll(() => first(page, 'metric_100'), PATIENT).toBeLessThan(old());
    await page.waitForTimeout(21_500);
    await expect.poll(() => JSON.parse(wire.said.at(-1)!).select, PATIENT).toHaveLength(1);
    await page.getByRole('searchbox').fill('');
    await page.evaluate(() => scrollTo(0, 0));
    await expect
      .poll(async () => (await points(page, 'metric_000')).at(-1)?.[0] ?? 0, PATIENT)
      .toBeGreaterThan(Date.now() - 3_000);
    await expect.poll(() => first(page, 'metric_000'), PATIENT).toBeLessThan(old());
    await expectFreshness(page, 'Live');
    // The past comes by the stream, and by nothing else as well.
    expect(wire.of('/v1/history')).toEqual([]);
    expect(failures).toEqual([]);
    await close();
  },
);

// The page gives up a connection that isn't answered for another, which a busy machine can bring about.
test('what is first seen are charts with their past, of little that was sent', {
  retry: 2,
}, async () => {
  const server = await Server.start();
  await publish(server, METRICS);
  const { page, failures, close } = await open(browser, 'about:blank', { init: noteShifts });
  const wire = new Wire(page);
  const begun = Date.now();
  await page.goto(server.url);
  await page.waitForFunction(() => window.__pushsvc!.points('metric_000', {}).length > 2, null, {
    polling: 'raf',
  });
  const ms = Date.now() - begun;
  await page.waitForTimeout(100);
  await page.screenshot({ path: `${ARTIFACTS}/sight-first.png` });
  expect(wire.of('/v1/series')).toEqual([200]);
  expect(wire.of('/v1/history')).toEqual([]);
  // All that are in sight came together, in one stream that was asked for just them.
  const seen = await page
    .locator('article.panel')
    .evaluateAll((panels) =>
      panels
        .filter((one) => one.getBoundingClientRect().top < innerHeight)
        .map((one) => one.querySelector('h2, h3')!.textContent!.trim()),
    );
  expect(seen.length).toBeGreaterThan(3);
  for (const name of seen) {
    expect(await first(page, name), name).toBeLessThan(old());
  }
  expect(wire.sockets).toBe(1);
  console.log(`${ms} ms until the first chart has its past, ${wire.received.length} characters`);
  expect(wire.received.length).toBeLessThan(60_000);
  const [sum, which] = await shiftsOf(page);
  expect(sum, which).toBeLessThanOrEqual(0.02);
  expect(failures).toEqual([]);
  await close();
});

test(
  'after a restart the list is that of the new server, and what is in sight goes on',
  LONG,
  async () => {
    const server = await Server.start();
    const end = await publish(server, METRICS);
    const { page, failures, close } = await open(browser, server.url);
    await expectFreshness(page, 'Live');
    await page.locator('article.panel').nth(100).scrollIntoViewIfNeeded();
    await expect.poll(() => first(page, 'metric_100'), PATIENT).toBeLessThan(old());
    const { port } = server;
    await server.stop('SIGKILL');
    end();
    await expectFreshness(page, 'Cut');
    const again = await Server.start('serve', port);
    // Without the last fifty, and with others.
    await publish(again, [...METRICS.slice(0, 250), ...named('other', 20)], []);
    await expectFreshness(page, 'Live');
    await expect
      .poll(async () => (await points(page, 'metric_100')).at(-1)![0], PATIENT)
      .toBeGreaterThan(Date.now() - 3_000);
    // What was there before the restart is still drawn.
    expect(await first(page, 'metric_100')).toBeLessThan(old());
    await expect
      .poll(() => page.getByRole('article', { name: 'other_000' }).count(), PATIENT)
      .toBe(1);
    await expect.poll(() => page.locator('.figures dd').first().textContent(), PATIENT).toBe('270');
    await panel(page, 'other_010').scrollIntoViewIfNeeded();
    await expect
      .poll(async () => (await points(page, 'other_010')).length, PATIENT)
      .toBeGreaterThan(2);
    expect(failures).toEqual([]);
    await close();
  },
);

test('two tabs have one connection, whatever each of them looks at', LONG, async () => {
  const server = await Server.start();
  await publish(server, METRICS);
  const { page, failures, close } = await open(browser, 'about:blank');
  const one = new Wire(page);
  await page.goto(server.url);
  await expect.poll(() => first(page, 'metric_000'), PATIENT).toBeLessThan(old());
  const other = await page.context().newPage();
  const two = new Wire(other);
  await other.goto(server.url);
  // What is in sight in both had come to the first; the second gets its past all the same.
  await expect.poll(() => first(other, 'metric_000'), PATIENT).toBeLessThan(old());
  await other.locator('article.panel').nth(150).scrollIntoViewIfNeeded();
  await expect.poll(() => first(other, 'metric_150'), PATIENT).toBeLessThan(old());
  // What the first doesn't look at comes by the stream alone.
  const histories = two.answers.filter(({ path }) => path === '/v1/history');
  expect(histories.filter(({ asked }) => asked.includes('metric_150'))).toEqual([]);
  await page.bringToFront();
  await page.locator('article.panel').nth(250).scrollIntoViewIfNeeded();
  await expect.poll(() => first(page, 'metric_250'), PATIENT).toBeLessThan(old());
  expect(one.sockets + two.sockets).toBe(1);
  // Each goes on with its own, and holds nothing of the other's.
  await expect
    .poll(async () => (await points(other, 'metric_150')).at(-1)![0], PATIENT)
    .toBeGreaterThan(Date.now() - 3_000);
  expect(await points(page, 'metric_150')).toEqual([]);
  await expectFreshness(page, 'Live');
  await page.close();
  // The tab that is left goes on.
  await expect
    .poll(async () => (await points(other, 'metric_150')).at(-1)![0], PATIENT)
    .toBeGreaterThan(Date.now() - 2_000);
  expect(failures).toEqual([]);
  await close();
});

test('a page that runs asks for less once there is much, and for all once there is little again', async () => {
  const server = await Server.start('serve', 0, {
    PUSHSVC_HISTORY_SECONDS: '4',
    PUSHSVC_HISTORY_SERIES_TTL: '5',
  });
  await publish(server, METRICS.slice(0, 100), []);
  const { page, failures, close } = await open(browser, 'about:blank');
  const wire = new Wire(page);
  await page.goto(server.url);
  await expectFreshness(page, 'Live');
  await expect.poll(() => wire.described, PATIENT).toBe(100);
  await expect
    .poll(async () => (await points(page, 'metric_000')).length, PATIENT)
    .toBeGreaterThan(2);
  const begun = await first(page, 'metric_000');
  expect(await page.getByText('samples/s in sight').count()).toBe(0);
  const end = await publish(server, METRICS.slice(100), []);
  await page.getByText('samples/s in sight').waitFor();
  await expect.poll(() => JSON.parse(wire.said.at(-1)!).select.length, PATIENT).toBeLessThan(10);
  await expect.poll(() => page.locator('.figures dd').first().textContent(), PATIENT).toBe('300');
  // What is in sight goes on, and nothing of it came twice.
  expect(await first(page, 'metric_000')).toBe(begun);
  await expectFreshness(page, 'Live');
  await page.locator('article.panel').nth(90).scrollIntoViewIfNeeded();
  await expect
    .poll(async () => (await points(page, 'metric_090')).at(-1)?.[0] ?? 0, PATIENT)
    .toBeGreaterThan(Date.now() - 3_000);
  end();
  await page.getByText('samples/s', { exact: true }).waitFor();
  await expect
    .poll(() => JSON.parse(wire.said.at(-1)!).select, PATIENT)
    .toEqual(['{__name__=~".+"}']);
  await page.locator('article.panel').nth(40).scrollIntoViewIfNeeded();
  await expect
    .poll(async () => (await points(page, 'metric_040')).at(-1)?.[0] ?? 0, PATIENT)
    .toBeGreaterThan(Date.now() - 3_000);
  expect(wire.of('/v1/history')).toEqual([]);
  await expectFreshness(page, 'Live');
  expect(failures).toEqual([]);
  await close();
});
