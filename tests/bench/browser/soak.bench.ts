/** Hours on a wall, in short: 200 series at 10 Hz on 40 panels, the server restarted in between. */

import { writeFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from '../../browser/browser.ts';
import { Server } from '../../browser/server.ts';
import { Load } from './load.ts';
import { LIBRARIES, type Library, show } from './others.ts';
import { frames, Probe, type Reading } from './probe.ts';

const MINUTES = Number(process.env.BENCH_MINUTES ?? 10);
const OUTCOME = process.env.BENCH_OUTCOME!;
const PANELS = 40;
const LINES = 5;
const HZ = 10;
const PAST_SECONDS = 900;
const READ_MS = 15_000;
const FRAMES_SECONDS = 5;
/** Eight panels are in sight. */
const VIEWPORT = { width: 1920, height: 840 };

interface Run {
  readonly system: string;
  readonly readings: Reading[];
  readonly framesPerSecond: number[];
  /** Milliseconds from the server's return until the page was live again; null if it wasn't asked. */
  readonly backAfterMs: number | null;
  readonly inSight: number;
}

let browser: Browser;
let server: Server;
let load: Load;
const environment = { PUSHSVC_LIMITS_SAMPLES_PER_SECOND: '10000000' };
beforeAll(async () => {
  browser = await launch();
  server = await Server.start('serve', 0, environment);
  load = new Load(PANELS, LINES);
  await load.prefill(server, PAST_SECONDS, HZ);
  load.start(() => server.url, HZ);
});
afterAll(async () => {
  load?.stop();
  await browser?.close();
  await Server.stopAll();
});

const runs: Run[] = [];

async function watch(
  system: string,
  minutes: number,
  open: (page: Page) => Promise<void>,
  panel: string,
  restart: (page: Page) => Promise<number | null>,
): Promise<void> {
  const context = await browser.newContext({ locale: 'en-GB', viewport: VIEWPORT });
  const page = await context.newPage();
  await open(page);
  await expect.poll(() => page.locator(panel).count(), { timeout: 60_000 }).toBe(PANELS);
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const inSight = await page.locator(panel).evaluateAll(
    (panels) =>
      panels.filter((panel) => {
        const { top, bottom } = panel.getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
      }).length,
  );
  const probe = await Probe.on(browser, page);
  const readings: Reading[] = [];
  const framesPerSecond: number[] = [];
  let backAfterMs: number | null = null;
  const steps = Math.max(4, Math.round((minutes * 60_000) / READ_MS));
  for (let step = 0; step < steps; step += 1) {
    if (step === Math.floor(steps / 2)) {
      backAfterMs = await restart(page);
    }
    await probe.mark();
    await new Promise((resolve) => setTimeout(resolve, READ_MS));
    readings.push(await probe.read());
    framesPerSecond.push(await frames(page, FRAMES_SECONDS));
  }
  await page.screenshot({ path: `${OUTCOME}.${system.replace(/\W/g, '')}.png` });
  await context.close();
  runs.push({ system, readings, framesPerSecond, backAfterMs, inSight });
  writeFileSync(OUTCOME, JSON.stringify({ panels: PANELS, lines: LINES, hz: HZ, runs }, null, 2));
}

test('the page', async () => {
  await watch(
    'pushsvc',
    MINUTES,
    async (page) => void (await page.goto(server.url)),
    '.panel',
    async (page) => {
      const { port } = server;
      await server.stop('SIGKILL');
      server = await Server.start('serve', port, environment);
      const began = performance.now();
      await page.waitForFunction(() => window.__pushsvc!.status().freshness === 'live', null, {
        timeout: 60_000,
      });
      return performance.now() - began;
    },
  );
}, 3_600_000);

test.each(Object.keys(LIBRARIES) as Library[])(
  '%s',
  async (library) => {
    // A restart has taken the past; each page shall have as much to draw.
    await load.prefill(server, PAST_SECONDS, HZ);
    await watch(
      library,
      1,
      (page) => show(page, server.url, library),
      '.panel',
      async () => null,
    );
  },
  3_600_000,
);
