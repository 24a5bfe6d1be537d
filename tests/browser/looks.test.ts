/** How it looks, from phone to wall display, for people to see; and what axe finds in it. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, launch, open, violations } from './browser.ts';
import { type Sample, Server } from './server.ts';

const SCREENS = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1440, height: 900 },
  wall: { width: 3840, height: 2160 },
};

let browser: Browser;
let server: Server;
let demo: Server;
let publishing: ReturnType<typeof setInterval>;
/** Between two samples of a series. */
const EVERY_MS = 2000;
beforeAll(async () => {
  [browser, server, demo] = await Promise.all([launch(), Server.start(), Server.start('demo')]);
  const start = Date.now() - 15 * 60_000;
  let from = start;
  const publish = async () => {
    const now = Date.now();
    const samples = [...life(start, from, now)];
    from += Math.ceil((now - from) / EVERY_MS) * EVERY_MS;
    await server.publish(...samples);
  };
  await server.publish(...states(start));
  await publish();
  // The page of a source that is silent isn't live.
  publishing = setInterval(() => void publish().catch(() => {}), EVERY_MS);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
});

for (const [colorScheme, often] of [
  ['light', {}],
  ['dark', LONG],
] as const) {
  describe(`in the ${colorScheme} theme`, often, () => {
    test.each(Object.entries(SCREENS))('on a %s', async (screen, viewport) => {
      const { page, failures, close } = await open(browser, server.url, { viewport, colorScheme });
      await expectFreshness(page, 'Live');
      await page.locator('.panel canvas').first().waitFor();
      await page.waitForTimeout(700);
      await page.screenshot({ path: `${ARTIFACTS}/page-${screen}-${colorScheme}.png` });
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(overflow).toBe(0);
      expect(failures).toEqual([]);
      await close();
    });

    test('axe finds nothing', async () => {
      const { page, close } = await open(browser, server.url, {
        viewport: SCREENS.desktop,
        colorScheme,
      });
      await expectFreshness(page, 'Live');
      await page.locator('.panel canvas').first().waitFor();
      expect(await violations(page)).toEqual([]);
      await page.getByRole('searchbox').fill('nothing of this kind');
      expect(await violations(page)).toEqual([]);
      await close();
    });

    test('the demo', async () => {
      // Tall enough for all of it: what is out of sight is not drawn.
      const viewport = { width: 1440, height: 2800 };
      const { page, close } = await open(browser, demo.url, { viewport, colorScheme });
      await expectFreshness(page, 'Live');
      await page.waitForTimeout(4000);
      await page.screenshot({ path: `${ARTIFACTS}/demo-${colorScheme}.png` });
      await close();
    });
  });
}

test('a chosen theme is kept and applied before anything is drawn', async () => {
  const { page, close } = await open(browser, server.url, { colorScheme: 'light' });
  await page.getByLabel('Theme').selectOption('dark');
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.reload();
  expect(await ground()).toBe(dark);
  expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe('dark');
  await close();
});

test('a pointer on a chart reads all panels', async () => {
  const { page, close } = await open(browser, server.url, { viewport: SCREENS.desktop });
  await expectFreshness(page, 'Live');
  const chart = page.locator('.over').first();
  await chart.hover({ position: { x: 150, y: 60 } });
  await expect.poll(() => page.locator('.crosshair:visible').count()).toBeGreaterThan(2);
  await page.screenshot({ path: `${ARTIFACTS}/page-pointer.png` });
  await page.mouse.move(5, 5);
  await expect.poll(() => page.locator('.crosshair:visible').count()).toBe(0);
  await close();
});

/** The numbers of a small fleet's life, made up so that every kind of panel is there. */
function* life(start: number, from: number, to: number): Generator<Sample> {
  for (let time = from; time < to; time += EVERY_MS) {
    const t = (time - start) / 60_000;
    const noise = (seed: number): number => Math.sin(t * 7.3 + seed * 5) * Math.cos(t * 3.1 + seed);
    for (const [index, host] of ['ams-1', 'ams-2', 'fra-1', 'fra-2'].entries()) {
      const labels = { host, job: 'edge' };
      const down = host === 'fra-2' && t > 6 && t < 8;
      if (!down) {
        const busy = 0.35 + 0.12 * index + 0.2 * noise(index);
        yield {
          name: 'cpu_utilization',
          labels,
          value: Math.min(1, Math.max(0.02, busy)),
          time,
          unit: 'ratio',
          help: 'Share of time the cores were busy.',
        };
        yield {
          name: 'memory_used_bytes',
          labels,
          value: (6 + index + 0.6 * t * 0.2 + 0.2 * noise(index + 9)) * 2 ** 30,
          time,
          unit: 'bytes',
          help: 'Memory that is in use.',
        };
        yield {
          name: 'http_requests_total',
          labels,
          value: Math.round((t + 10) * (9000 + 2500 * index) + 900 * noise(index)),
          time,
          kind: 'counter',
          help: 'Requests answered.',
        };
      }
    }
    yield {
      name: 'request_duration_seconds',
      labels: { quantile: '0.5' },
      value: 0.018 + 0.004 * noise(1),
      time,
      unit: 'seconds',
      help: 'Time to answer, by quantile.',
    };
    yield {
      name: 'request_duration_seconds',
      labels: { quantile: '0.99' },
      value: 0.11 + 0.05 * noise(2) ** 2,
      time,
      unit: 'seconds',
    };
    yield {
      name: 'room_temperature',
      labels: { room: 'rack 4' },
      value: 22.4 + 0.8 * noise(4),
      time,
      unit: 'celsius',
      help: 'Measured at the top of the rack.',
    };
    yield {
      name: 'network_throughput',
      labels: { direction: 'in' },
      value: 4e6 * (1.4 + noise(5)),
      time,
      unit: 'bytes_per_second',
      help: 'Traffic at the uplink.',
    };
    yield {
      name: 'network_throughput',
      labels: { direction: 'out' },
      value: 9e6 * (1.4 + noise(6)),
      time,
      unit: 'bytes_per_second',
    };
    yield { name: 'balance', value: 40 * noise(7), time, help: 'Goes below zero now and then.' };
    if (time % 10_000 < 2000) {
      for (let shard = 0; shard < 60; shard += 1) {
        yield {
          name: 'shard_lag_seconds',
          labels: { shard: String(shard) },
          value: Math.abs((shard % 7) + 3 * noise(shard)),
          time,
          unit: 'seconds',
          help: 'How far each shard is behind.',
        };
      }
    }
  }
}

/** Its states, in a quarter of an hour. */
function* states(start: number): Generator<Sample> {
  const phases = ['stable', 'rolling', 'verifying', 'stable'];
  for (const [index, service] of ['api', 'web', 'worker'].entries()) {
    for (const [step, phase] of phases.entries()) {
      yield {
        name: 'deploy_phase',
        labels: { service },
        value: phase,
        kind: 'state',
        time: start + (step * 3.1 + index) * 60_000,
        help: 'What the deployment is doing.',
      };
    }
    for (const [time, up] of [
      [start, true],
      [start + 8 * 60_000, service !== 'worker'],
    ] as const) {
      yield {
        name: 'service_up',
        labels: { service },
        value: up,
        kind: 'state',
        time,
        help: 'Whether the service answers.',
      };
    }
  }
}
