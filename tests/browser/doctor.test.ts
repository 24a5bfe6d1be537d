/** The path doctor in a browser, on a path that is well and on one that isn't. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ARTIFACTS, LONG, launch, open, violations } from './browser.ts';
import { type Interference, Middlebox } from './middlebox.ts';
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

async function examine(page: Page): Promise<string> {
  await page.getByLabel('Look for cuts').selectOption('5');
  await page.getByRole('button', { name: 'Examine' }).press('Enter');
  await page.getByRole('status').filter({ hasText: 'quiet' }).waitFor({ timeout: 20_000 });
  await page.getByRole('heading', { name: /This path is/ }).waitFor({ timeout: 30_000 });
  return page.locator('main').innerText();
}

describe.each([
  ['light', {}],
  ['dark', LONG],
] as const)('in the %s theme', (colorScheme, often) => {
  test('a path that is well', often, async () => {
    const { page, failures, close } = await open(browser, `${server.url}/doctor`, { colorScheme });
    const text = await examine(page);
    expect(text).toContain('This path is healthy');
    expect(text).toContain('WebSocket: gets through');
    expect(text).toContain('long poll: gets through');
    expect(text).toContain('Nothing buffers');
    expect(text).toContain('HTTP stream: quiet for 5 s is survived');
    expect(text).toContain('WebSocket: quiet for 5 s is survived');
    expect(failures).toEqual([]);
    expect(await violations(page)).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}/doctor-${colorScheme}.png`, fullPage: true });
    await close();
  });
});

/** The levels of findings, by code, behind a box that interferes. */
async function through(
  interference: Interference,
  look: (page: Page) => Promise<void> = async () => {},
): Promise<Record<string, string>> {
  const middlebox = await Middlebox.start(server.url, interference);
  const { page, failures, close } = await open(browser, `${middlebox.url}/doctor`, {
    viewport: { width: 390, height: 844 },
  });
  await examine(page);
  const levels = await page
    .locator('.doctor li')
    .evaluateAll((rows) =>
      rows.map((row) => [(row as HTMLElement).dataset.code!, row.className] as const),
    );
  await look(page);
  expect(failures).toEqual([]);
  await close();
  middlebox.stop();
  return Object.fromEntries(levels);
}

describe('behind a box', () => {
  test('that refuses WebSockets and cuts what is quiet, its own setting is told', async () => {
    const levels = await through(
      { websocket: true, idleMs: 2000, via: '1.1 haproxy' },
      async (page) => {
        expect(await page.locator('[data-code=http_stream_idle]').innerText()).toMatch(
          /cut after 2\.\d s of quiet/,
        );
        expect(await page.locator('section h3').allInnerTexts()).toEqual(['HAProxy']);
        expect(await page.locator('main').innerText()).toContain('timeout tunnel 1h');
        const overflow = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(overflow).toBe(0);
        await page.screenshot({ path: `${ARTIFACTS}/doctor-phone.png`, fullPage: true });
      },
    );
    expect(levels).toMatchObject({
      websocket_through: 'problem',
      http_stream_idle: 'problem',
      http_stream_busy: 'ok',
      sse_through: 'ok',
      unbuffered: 'ok',
    });
    expect(levels).not.toHaveProperty('websocket_idle');
  });

  test(
    'that opens WebSockets and passes nothing on, and keeps events to itself',
    LONG,
    async () => {
      const levels = await through({ mute: true, eventStream: true }, async (page) => {
        expect(await page.locator('[data-code=websocket_through]').innerText()).toContain(
          'it opened, and no message came',
        );
        // No proxy names itself: those of the whole table that have such settings are offered.
        expect(await page.locator('section h3').allInnerTexts()).toContain('nginx');
      });
      expect(levels).toMatchObject({ websocket_through: 'problem', sse_through: 'problem' });
    },
  );

  test('that holds answers back until they are whole', LONG, async () => {
    expect(await through({ holds: true })).toMatchObject({
      buffered: 'problem',
      sse_through: 'problem',
      ndjson_through: 'problem',
      long_poll_through: 'ok',
      websocket_through: 'ok',
      websocket_idle: 'ok',
    });
  });
});

test('can be stopped, and says so when there is nobody to ask', async () => {
  const other = await Server.start();
  const { page, close } = await open(browser, other.url);
  await page.getByRole('link', { name: 'WebSocket' }).click();
  await page.getByRole('button', { name: 'Examine' }).click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Examine' }).waitFor();
  expect(await page.getByRole('alert').count()).toBe(0);
  await other.stop('SIGKILL');
  await page.getByRole('button', { name: 'Examine' }).click();
  await page.getByRole('alert').waitFor();
  expect(await page.getByRole('alert').innerText()).toContain('could not be examined');
  await close();
});
