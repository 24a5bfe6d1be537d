/** Outages: the page goes on by itself, with every sample once, over whatever gets through. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { expectFreshness, LONG, launch, open, points } from './browser.ts';
import { Middlebox } from './middlebox.ts';
import { Server } from './server.ts';

let browser: Browser;
let server: Server;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  server = await Server.start();
});
afterEach(() => Server.stopAll());

/** Publishes one series, and knows what a page should have of it. */
class Producer {
  readonly published: [number, number][] = [];

  /** Publish until the page is live: where samples stop, it soon isn't. */
  async publishUntilLive(page: Page, timeout?: number): Promise<void> {
    let over = false;
    const live = expectFreshness(page, 'Live', timeout).finally(() => {
      over = true;
    });
    while (!over) {
      await this.publish(1);
    }
    await live;
  }

  /** Samples 150 ms apart: further than what a stream merges. */
  async publish(count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      const sample: [number, number] = [Date.now(), this.published.length];
      await server.publish({ name: 'steps', value: sample[1], time: sample[0] });
      this.published.push(sample);
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  }
}

test('a server that is killed and comes back: no reload, no loss, no doubles', async () => {
  const producer = new Producer();
  await producer.publish(8);
  const { page, failures, close } = await open(browser, server.url);
  await page.evaluate(() => Object.assign(window, { survives: true }));
  await producer.publishUntilLive(page);
  await producer.publish(8);
  await expect.poll(() => points(page, 'steps')).toEqual(producer.published);

  const { port } = server;
  await server.stop('SIGKILL');
  await expectFreshness(page, 'Cut');
  await page.locator('.outage').waitFor();
  expect(await points(page, 'steps')).toEqual(producer.published);

  server = await Server.start('serve', port);
  // Producers don’t wait for dashboards.
  await producer.publish(4);
  await producer.publishUntilLive(page, 40_000);
  await producer.publish(8);
  await expect.poll(() => points(page, 'steps')).toEqual(producer.published);
  expect(await page.locator('.outage').count()).toBe(0);
  expect(await page.evaluate(() => 'survives' in window)).toBe(true);
  expect(failures).toEqual([]);
  await close();
});

test('a network that drops: what was published meanwhile is there', async () => {
  const middlebox = await Middlebox.start(server.url);
  const producer = new Producer();
  const { page, close } = await open(browser, middlebox.url);
  await producer.publish(5);
  await producer.publishUntilLive(page);
  for (let drop = 0; drop < 3; drop += 1) {
    middlebox.cut();
    await producer.publish(4);
    await expect.poll(() => points(page, 'steps'), { timeout: 30_000 }).toEqual(producer.published);
  }
  await close();
  middlebox.stop();
});

test('a server that says goodbye is come back to', async () => {
  const { page, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  const { port } = server;
  const asked = Date.now();
  const stopped = server.stop('SIGTERM');
  // Said while it goes: it may be gone when the page tries again.
  await page
    .locator('.outage')
    .getByText(/th(e|is) server is going away/i)
    .waitFor();
  await stopped;
  expect(Date.now() - asked).toBeLessThan(15_000); // after twenty seconds it would be killed
  await expectFreshness(page, 'Cut');
  server = await Server.start('serve', port);
  await expectFreshness(page, 'Live', 40_000);
  await close();
});

test('without WebSocket, SSE takes over', LONG, async () => {
  const middlebox = await Middlebox.start(server.url, { websocket: true });
  const producer = new Producer();
  const { page, close } = await open(browser, middlebox.url);
  await producer.publish(3);
  await producer.publishUntilLive(page);
  expect(await page.locator('.connection .transport').textContent()).toBe('SSE');
  // Not without a word.
  expect(await page.locator('.connection .transport').getAttribute('title')).toContain(
    'WebSockets don’t get through',
  );
  await producer.publish(3);
  middlebox.cut();
  await producer.publish(3);
  await expect.poll(() => points(page, 'steps'), { timeout: 30_000 }).toEqual(producer.published);
  await close();
  middlebox.stop();
});

test('without WebSocket and streaming, long polling takes over, for as long as it must', async () => {
  const middlebox = await Middlebox.start(server.url, { websocket: true, eventStream: true });
  const producer = new Producer();
  const { page, close } = await open(browser, middlebox.url);
  await producer.publish(3);
  await producer.publishUntilLive(page);
  expect(await page.locator('.connection .transport').textContent()).toBe('long poll');
  await producer.publish(6);
  await expect.poll(() => points(page, 'steps'), { timeout: 30_000 }).toEqual(producer.published);
  Object.assign(middlebox.interference, { websocket: false, eventStream: false });
  await expect
    .poll(() => page.locator('.connection .transport').textContent(), { timeout: 30_000 })
    .toBe('WebSocket');
  await producer.publish(3);
  await expect.poll(() => points(page, 'steps'), { timeout: 30_000 }).toEqual(producer.published);
  await close();
  middlebox.stop();
});

test('a device without a network is said to be offline', async () => {
  const { page, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  await page.context().setOffline(true);
  await expectFreshness(page, 'Offline');
  expect(await page.locator('.outage').textContent()).toContain('This device is offline');
  await page.context().setOffline(false);
  await expectFreshness(page, 'Live');
  await close();
});

test("a browser's own EventSource resumes by itself", async () => {
  const middlebox = await Middlebox.start(server.url);
  const producer = new Producer();
  await producer.publish(1);
  const { page, close } = await open(browser, `${middlebox.url}/v1/series`);
  await page.evaluate(() => {
    const seen: { data: string; id: string }[] = [];
    const source = new EventSource('/v1/stream?select=steps');
    source.onmessage = ({ data, lastEventId }) => seen.push({ data, id: lastEventId });
    Object.assign(window, { seen });
  });
  const received = () =>
    page.evaluate(() => {
      const { seen } = window as unknown as { seen: { data: string; id: string }[] };
      const documents = seen.map(({ data, id }) => ({ ...JSON.parse(data), lastEventId: id }));
      return {
        values: documents.flatMap(({ points = [] }) => points.map((point: number[]) => point[2])),
        ids: documents
          .filter(({ id }) => id !== undefined)
          .map(({ id, lastEventId }) => [id, lastEventId]),
        greetings: documents.filter(({ type }) => type === 'hello').length,
      };
    });
  const values = () => producer.published.map(([, value]) => value);
  await expect.poll(async () => (await received()).values).toEqual(values());
  await producer.publish(4);
  await expect.poll(async () => (await received()).values).toEqual(values());
  middlebox.cut();
  await producer.publish(4);
  await expect.poll(async () => (await received()).values, { timeout: 30_000 }).toEqual(values());
  const { ids, greetings } = await received();
  expect(greetings).toBe(2);
  for (const [id, lastEventId] of ids) {
    expect(lastEventId).toBe(id);
  }
  await close();
  middlebox.stop();
});
