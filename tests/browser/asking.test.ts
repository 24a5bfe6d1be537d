/** What the page asks for: the series of its panels, and of their past as much as a chart shows. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { colouredPixels, expectFreshness, launch, open, panel, points } from './browser.ts';
import { type Sample, Server } from './server.ts';

const KEPT = {
  title: 'Few',
  window: '15m',
  variables: [{ name: 'host', label: 'host', select: 'load' }],
  panels: [
    { id: 'busy', title: 'Busy', kind: 'line', select: 'busy' },
    { id: 'load', title: 'Load', kind: 'line', select: 'load{host="$host"}' },
  ],
};
const HOSTS = ['a', 'b', 'c'];
/** Milliseconds between two samples of the past, and when there was a spike. */
const STEP = 250;
const SPIKE_BACK = 400_000;

/** A machine that is busy draws later. */
const PATIENT = { timeout: 30_000 };

let browser: Browser;
let server: Server;
let publishing: ReturnType<typeof setInterval>;
/** When the spike was. */
let spike: number;
const folder = mkdtempSync(join(tmpdir(), 'pushsvc-asking-'));
beforeAll(async () => {
  writeFileSync(join(folder, 'few.json'), JSON.stringify(KEPT));
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_DASHBOARDS_PROVISIONED: folder }),
  ]);
  const now = Date.now();
  spike = now - SPIKE_BACK;
  const past: Sample[] = [];
  for (let back = 900_000; back > 0; back -= STEP) {
    const value = back === SPIKE_BACK ? 1000 : 50 + 10 * Math.sin(back / 60_000) + (back % 7) / 7;
    past.push({ name: 'busy', value, time: now - back });
  }
  for (let at = 0; at < past.length; at += 900) {
    await server.publish(...past.slice(at, at + 900));
  }
  const publish = () =>
    server.publish(
      { name: 'busy', value: 50 + 10 * Math.random() },
      ...HOSTS.map((host) => ({ name: 'load', labels: { host }, value: Math.random() })),
      ...Array.from({ length: 200 }, (_, index) => ({
        name: 'other',
        labels: { index: String(index) },
        value: Math.random(),
      })),
    );
  await publish();
  publishing = setInterval(() => void publish().catch(() => {}), 250);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
  rmSync(folder, { recursive: true });
});

/** What streams are opened with, said to, and how many bytes come. */
function traffic(page: Page) {
  const seen = { opened: [] as URL[], said: [] as string[], bytes: 0, received: '' };
  page.on('websocket', (socket) => {
    seen.opened.push(new URL(socket.url()));
    socket.on('framesent', ({ payload }) => seen.said.push(String(payload)));
    socket.on('framereceived', ({ payload }) => {
      seen.bytes += payload.length;
      seen.received += payload;
    });
  });
  return seen;
}

test('a dashboard asks for what its panels show, and for others when a variable changes', async () => {
  const { page, failures, close } = await open(browser, 'about:blank');
  const seen = traffic(page);
  await page.goto(`${server.url}/d/few`);
  await expectFreshness(page, 'Live');
  await expect.poll(() => colouredPixels(page, 'Busy'), PATIENT).toBeGreaterThan(20);
  await expect
    .poll(() => page.getByRole('combobox', { name: /^host/ }).inputValue(), PATIENT)
    .toBe('a');
  await expect.poll(() => colouredPixels(page, 'Load'), PATIENT).toBeGreaterThan(2);
  expect(seen.opened).toHaveLength(1);
  // What a variable stands for wasn't known yet.
  expect(seen.opened[0]!.searchParams.getAll('select')).toEqual(['busy']);
  expect(seen.opened[0]!.searchParams.get('points')).toBe('400');
  expect(JSON.parse(seen.said[0]!)).toMatchObject({ select: ['busy', 'load{host="a"}'] });
  expect(await points(page, 'load', { host: 'b' })).toEqual([]);
  expect(seen.received).not.toContain('"other"');
  expect(await page.locator('.figures dd').first().textContent()).toBe('2');

  await page.getByRole('combobox', { name: /^host/ }).selectOption('b');
  await expect
    .poll(async () => (await points(page, 'load', { host: 'b' })).length, PATIENT)
    .toBeGreaterThan(5);
  // What isn't shown any more is forgotten.
  expect(await points(page, 'load', { host: 'a' })).toEqual([]);
  expect(seen.opened).toHaveLength(1);

  // Who edits may want any of what there is.
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  await expect.poll(() => seen.received, PATIENT).toContain('"other"');
  await page.goBack();
  await page.getByRole('button', { name: 'Edit', exact: true }).waitFor();
  await expect.poll(() => page.locator('.figures dd').first().textContent(), PATIENT).toBe('2');
  expect(failures).toEqual([]);
  await close();
});

test('the past comes thinned, with its spike, and is fine where one zooms into it', async () => {
  const { page, failures, close } = await open(browser, 'about:blank');
  const seen = traffic(page);
  await page.goto(`${server.url}/d/few`);
  await expectFreshness(page, 'Live');
  await expect.poll(() => colouredPixels(page, 'Busy'), PATIENT).toBeGreaterThan(20);
  const past = await points(page, 'busy');
  // 3,600 samples, and no more points than the chart has pixels.
  expect(past.length).toBeGreaterThan(300);
  expect(past.length).toBeLessThan(600);
  expect(seen.bytes).toBeLessThan(60_000);
  // What was highest was merged with others, and is known.
  await panel(page, 'Busy').hover();
  await page.getByRole('button', { name: 'Busy as a table' }).click();
  const highest = panel(page, 'Busy').getByRole('cell').nth(2);
  await expect.poll(() => highest.innerText(), PATIENT).toMatch(/^1\.00\sk$/);
  const iso = (time: number) => new Date(time).toISOString();
  await page.goto(`${server.url}/d/few?from=${iso(spike - 15_000)}&to=${iso(spike + 15_000)}`);
  const near = async () =>
    (await points(page, 'busy')).filter(([time]) => Math.abs(time - spike) < 10_000).length;
  // Each of the samples, of which there are four a second.
  await expect.poll(near, PATIENT).toBeGreaterThan(70);
  await expect
    .poll(async () => (await points(page, 'busy')).some(([, value]) => value === 1000), PATIENT)
    .toBe(true);
  expect(failures).toEqual([]);
  await close();
});

test('tabs have one connection together, and go on when the one that holds it is closed', async () => {
  const { page: first, failures, close } = await open(browser, 'about:blank');
  const seen = traffic(first);
  await first.goto(`${server.url}/d/few`);
  await expectFreshness(first, 'Live');
  await expect.poll(() => colouredPixels(first, 'Busy'), PATIENT).toBeGreaterThan(20);
  const second = await first.context().newPage();
  second.on('pageerror', (error) => failures.push(String(error)));
  const others = traffic(second);
  await second.goto(`${server.url}/d/few?var-host=c`);
  await expectFreshness(second, 'Live');
  await expect.poll(() => colouredPixels(second, 'Busy'), PATIENT).toBeGreaterThan(20);
  expect([seen.opened.length, others.opened.length]).toEqual([1, 0]);
  // With the past of what the first one showed already, and with what it didn't.
  await expect
    .poll(async () => (await points(second, 'busy'))[0]![0], PATIENT)
    .toBeLessThan(Date.now() - 600_000);
  await expect
    .poll(async () => (await points(second, 'load', { host: 'c' })).length, PATIENT)
    .toBeGreaterThan(5);
  // What is another tab's alone is none of this.
  expect(await points(second, 'load', { host: 'a' })).toEqual([]);
  expect(await second.locator('.figures dd').first().textContent()).toBe('2');
  expect(await points(first, 'load', { host: 'c' })).toEqual([]);

  const newest = async () => (await points(second, 'busy')).at(-1)![0];
  await first.close();
  const before = await newest();
  await expect.poll(newest, PATIENT).toBeGreaterThan(before + 1500);
  await expectFreshness(second, 'Live');
  const times = (await points(second, 'busy')).map(([time]) => time);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(others.opened).toHaveLength(1);
  expect(failures).toEqual([]);
  await close();
});

test('where a dashboard can’t be loaded nothing is asked for, until it is made', async () => {
  const { page, failures, close } = await open(browser, 'about:blank');
  const seen = traffic(page);
  await page.goto(`${server.url}/d/none`);
  await page.getByRole('alert').waitFor();
  await expectFreshness(page, 'Live');
  // Three rounds of what is published.
  await page.waitForTimeout(800);
  expect(seen.opened).toHaveLength(1);
  expect(seen.received).not.toMatch(/"(other|busy|load)"/);
  expect(await page.locator('.figures dd').first().textContent()).toBe('0');
  expect(failures).toEqual([]);
  await close();
});
