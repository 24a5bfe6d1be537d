/**
 * The picture of the page on the first screen of README.md. Each run takes it, to
 * `artifacts/page.png`; `make picture` takes it to `docs/page.png`, where README.md shows it.
 */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open, panel } from './browser.ts';
import { ROOT, type Sample, Server } from './server.ts';

/** What is in the repository, and so in everyone's checkout for ever, is to be small. */
const LARGEST_BYTES = 120_000;
const KEPT = `${ROOT}/docs/page.png`;
const SIZE = { width: 1280, height: 672 };

const HOSTS = ['ams-1', 'ams-2', 'fra-1', 'fra-2'];
const BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const BOARD = {
  title: 'Shop',
  window: '15m',
  panels: [
    {
      id: 'requests',
      title: 'Requests by host',
      kind: 'line',
      select: 'http_requests_total',
      grid: { x: 0, y: 0, w: 6, h: 4 },
    },
    {
      id: 'durations',
      title: 'How long requests take',
      kind: 'heatmap',
      select: 'http_request_duration_seconds_bucket',
      by: 'le',
      grid: { x: 6, y: 0, w: 6, h: 4 },
    },
    {
      id: 'cpu',
      title: 'Busiest host',
      kind: 'gauge',
      select: 'cpu_utilization{host="fra-2"}',
      thresholds: [
        { at: 0.7, level: 'warning' },
        { at: 0.9, level: 'critical' },
      ],
      grid: { x: 0, y: 4, w: 3, h: 3 },
    },
    {
      id: 'memory',
      title: 'Memory in use',
      kind: 'stacked',
      select: 'memory_used_bytes',
      grid: { x: 3, y: 4, w: 5, h: 3 },
    },
    {
      id: 'state',
      title: 'Deployments',
      kind: 'timeline',
      select: 'deployment_phase',
      grid: { x: 8, y: 4, w: 4, h: 3 },
    },
  ],
};

afterAll(() => Server.stopAll());

test('the picture of README.md is taken, and small', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pushsvc-cover-'));
  writeFileSync(join(folder, 'shop.json'), JSON.stringify(BOARD));
  const [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_DASHBOARDS_PROVISIONED: folder }),
  ]);
  const samples = [...past(Date.now())];
  for (let start = 0; start < samples.length; start += 10_000) {
    await server.publish(...samples.slice(start, start + 10_000));
  }
  const { page, failures, close } = await open(browser, `${server.url}/d/shop`, {
    viewport: SIZE,
    colorScheme: 'light',
  });
  await expectFreshness(page, 'Live');
  for (const { title } of BOARD.panels) {
    await panel(page, title).waitFor();
  }
  await page.locator('.panel canvas').first().waitFor();
  // Something comes while it is looked at, so that the bar tells how live it is.
  const gauges = samples.slice(-20).filter(({ kind }) => kind === undefined);
  await expect
    .poll(async () => {
      await server.publish(...gauges.map((one) => ({ ...one, time: Date.now() })));
      return await page.getByText(/lag\s*\d/).count();
    })
    .toBe(1);
  await page.waitForTimeout(700);
  const path = process.env.PICTURE === 'kept' ? KEPT : `${ARTIFACTS}/page.png`;
  await page.screenshot({ path });
  expect(failures).toEqual([]);
  await close();
  await browser.close();
  rmSync(folder, { recursive: true });

  expect(statSync(path).size).toBeLessThan(LARGEST_BYTES);
  expect(statSync(KEPT).size).toBeLessThan(LARGEST_BYTES);
  expect(readFileSync(`${ROOT}/README.md`, 'utf8')).toContain('](docs/page.png)');
});

/** A quarter of an hour of a small shop, made up; the same each time, but for when it was. */
function* past(now: number): Generator<Sample> {
  const start = now - 15 * 60_000;
  const totals = new Map<string, number>();
  const add = (key: string, value: number): number => {
    const total = (totals.get(key) ?? 0) + value;
    totals.set(key, total);
    return Math.round(total);
  };
  for (let time = start; time <= now; time += 3000) {
    const t = (time - start) / 60_000;
    const noise = (seed: number): number => Math.sin(t * 7.3 + seed * 5) * Math.cos(t * 3.1 + seed);
    const rush = Math.exp(-((t - 9) ** 2) / 3);
    for (const [index, host] of HOSTS.entries()) {
      const labels = { host };
      yield {
        name: 'http_requests_total',
        labels,
        kind: 'counter',
        value: add(host, 3 * (120 + 35 * index + 18 * noise(index) + 160 * rush)),
        time,
      };
      yield {
        name: 'memory_used_bytes',
        labels,
        unit: 'bytes',
        value: (5 + index + 0.05 * t + 0.3 * noise(index + 9) + rush) * 2 ** 30,
        time,
      };
      yield {
        name: 'cpu_utilization',
        labels,
        unit: 'ratio',
        value: Math.min(1, 0.3 + 0.14 * index + 0.05 * noise(index) + 0.3 * rush),
        time,
      };
      const phase = index < Math.floor(t - 3) ? 'v2' : index < t - 2 ? 'rolling' : 'v1';
      yield {
        name: 'deployment_phase',
        labels,
        kind: 'state',
        value: phase,
        time,
      };
    }
    const middle = 0.04 + 0.16 * rush;
    for (const le of [...BUCKETS, Number.POSITIVE_INFINITY]) {
      const below = 1 / (1 + (middle / le) ** 2.2);
      yield {
        name: 'http_request_duration_seconds_bucket',
        labels: { le: le === Number.POSITIVE_INFINITY ? '+Inf' : `${le}` },
        kind: 'counter',
        value: add(`le ${le}`, 1800 * below),
        time,
      };
    }
  }
}
