/** What is painted bit by bit, as points come, is to the pixel what is painted at once. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, LONG, launch, open } from './browser.ts';
import { Server } from './server.ts';

const HOUR = 3_600_000;
const EVERY_MS = 4_000;
/** Of each metric: its kind and how many lines it has. One alone is filled; colours after eight are dashed. */
const METRICS = [
  ['alone', 'gauge', 1],
  ['several', 'gauge', 12],
  ['counted', 'counter', 3],
] as const;

let browser: Browser;
let server: Server;
beforeAll(async () => {
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, {
      PUSHSVC_HISTORY_SECONDS: '4000',
      PUSHSVC_LIMITS_SAMPLES_PER_SECOND: '1000000',
    }),
  ]);
  const now = Date.now();
  for (let from = HOUR; from > 0; from -= HOUR / 8) {
    const times = Array.from({ length: HOUR / 8 / EVERY_MS }, (_, n) => now - from + n * EVERY_MS);
    await server.publish(...times.flatMap(samplesAt));
  }
});
afterAll(async () => {
  await browser?.close();
  await Server.stopAll();
});

function samplesAt(time: number) {
  return METRICS.flatMap(([name, kind, lines]) =>
    Array.from({ length: lines }, (_, line) => ({
      name,
      kind,
      labels: { line: `l${String(line).padStart(2, '0')}` },
      time,
      value:
        kind === 'counter'
          ? Math.round(time / 1000 + 50 * Math.sin(time / 90_000 + line))
          : 50 + 3 * line + 20 * Math.sin(time / 60_000 + line) + 2 * Math.sin(time / 700),
    })),
  );
}

for (const [deviceScaleFactor, often] of [
  [1.5, {}],
  [1, LONG],
  [2, LONG],
] as const) {
  test(`at a ratio of ${deviceScaleFactor}`, often, async () => {
    const { page, failures, close } = await open(browser, `${server.url}/?window=1h&theme=light`, {
      viewport: { width: 1200, height: 800 },
      deviceScaleFactor,
      init: () => {
        // The charts of which only the end was painted last.
        const partly = new Map<HTMLCanvasElement, boolean>();
        Object.assign(window, { partly });
        const { rect } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.rect = function (left, ...rest) {
          partly.set(this.canvas, left > this.canvas.width / 2);
          return rect.call(this, left, ...rest);
        };
      },
    });
    await page.waitForFunction(() => document.querySelectorAll('canvas').length === 3);
    /** Points come for a while, and then none; what is shown, and what is once all is painted anew. */
    const compared = async () => {
      for (let n = 0; n < 6; n += 1) {
        await server.publish(...samplesAt(Date.now()));
        await page.waitForTimeout(150);
      }
      return page.evaluate(async () => {
        const { partly } = window as unknown as { partly: Map<HTMLCanvasElement, boolean> };
        const frames = async (count: number) => {
          for (let n = 0; n < count; n += 1) {
            await new Promise(requestAnimationFrame);
          }
        };
        await new Promise((resolve) => setTimeout(resolve, 600));
        const canvases = [...document.querySelectorAll('canvas')];
        const pictures = () => canvases.map((canvas) => canvas.toDataURL());
        const bits = canvases.filter((canvas) => partly.get(canvas)).length;
        const before = pictures();
        const theme = document.querySelector<HTMLSelectElement>('.theme select')!;
        for (const value of ['dark', 'light']) {
          theme.value = value;
          theme.dispatchEvent(new Event('change', { bubbles: true }));
          await frames(4);
        }
        const whole = canvases.filter((canvas) => partly.get(canvas) === false).length;
        const after = pictures();
        return { bits, whole, same: before.filter((one, at) => one === after[at]).length };
      });
    };
    // The picture moves by a pixel every few seconds, and what is compared then differs.
    await expect.poll(compared, { timeout: 50_000 }).toEqual({ bits: 3, whole: 3, same: 3 });
    await page.screenshot({ path: `${ARTIFACTS}/strokes-${deviceScaleFactor}.png` });
    expect(failures).toEqual([]);
    await close();
  });
}
