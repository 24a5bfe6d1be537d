/** From the script to the picture: a dashboard of 50 series with 15 minutes of history. */

import { writeFileSync } from 'node:fs';
import { test } from 'vitest';
import { launch } from '../../browser/browser.ts';
import { Server } from '../../browser/server.ts';
import { Load } from './load.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 9);
const OUTCOME = process.env.BENCH_OUTCOME!;
const PANELS = 10;
const LINES = 5;
const PAST_SECONDS = 900;

interface Painted {
  historyAt: number;
  strokes: Map<HTMLCanvasElement, number>;
}

test('first paint', async () => {
  const server = await Server.start();
  const browser = await launch();
  const rounds: { fromScriptMs: number; coldMs: number; historyMs: number; points: number }[] = [];
  try {
    const load = new Load(PANELS, LINES);
    await load.prefill(server, PAST_SECONDS, 1);
    for (let round = 0; round < ROUNDS; round += 1) {
      const context = await browser.newContext({
        locale: 'en-GB',
        viewport: { width: 1920, height: 1080 },
      });
      const page = await context.newPage();
      await page.addInitScript(() => {
        const painted: Painted = { historyAt: 0, strokes: new Map() };
        Object.assign(window, { painted });
        // What came when: the socket's messages, and the lines that were drawn after the last.
        const Socket = window.WebSocket;
        window.WebSocket = class extends Socket {
          constructor(url: string | URL, protocols?: string | string[]) {
            super(url, protocols);
            this.addEventListener('message', () => {
              if (performance.now() - (painted.historyAt || performance.now()) < 200) {
                painted.historyAt = performance.now();
                painted.strokes.clear();
              }
            });
          }
        };
        const { stroke } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.stroke = function (
          this: CanvasRenderingContext2D,
          ...path: [Path2D?]
        ) {
          if (path[0] !== undefined && !painted.strokes.has(this.canvas)) {
            // Shown with the frame that is being made.
            const { canvas } = this;
            painted.strokes.set(canvas, Number.POSITIVE_INFINITY);
            requestAnimationFrame((at) => painted.strokes.set(canvas, at));
          }
          return (stroke as (...path: unknown[]) => void).apply(this, path);
        };
      });
      await page.goto(server.url);
      const painted = await page.waitForFunction(
        ([panels, past]) => {
          const { historyAt, strokes } = (window as unknown as { painted: Painted }).painted;
          const lastAt = Math.max(...strokes.values());
          const come = window.__pushsvc?.points('bench_metric_09', { host: 'host-4' }) ?? [];
          const points = come.length;
          // The past may come in several frames, of which each has some series.
          const whole = points > 1 && come.at(-1)![0] - come[0]![0] > 900 * past;
          if (strokes.size < panels || !Number.isFinite(lastAt) || !whole) {
            return null;
          }
          // Those that the page names: what comes after them is loaded while it is drawn.
          const named = new Set(
            [...document.querySelectorAll<HTMLScriptElement>('script[src]')].map(({ src }) => src),
          );
          const scripts = performance
            .getEntriesByType('resource')
            .filter(({ name }) => named.has(name)) as PerformanceResourceTiming[];
          const scriptAt = Math.max(...scripts.map(({ responseEnd }) => responseEnd));
          return {
            fromScriptMs: lastAt - scriptAt,
            coldMs: lastAt,
            historyMs: historyAt - scriptAt,
            points,
          };
        },
        [PANELS, PAST_SECONDS] as const,
      );
      rounds.push((await painted.jsonValue())!);
      await context.close();
    }
  } finally {
    await browser.close();
    await Server.stopAll();
  }
  writeFileSync(OUTCOME, JSON.stringify({ series: PANELS * LINES, rounds }, null, 2));
}, 600_000);
