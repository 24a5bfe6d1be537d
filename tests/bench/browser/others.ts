/** The same data on the same panels, drawn by the chart libraries that people take. */

import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';

const module = (path: string): string =>
  fileURLToPath(new URL(`./node_modules/${path}`, import.meta.url));

export const LIBRARIES = {
  'Chart.js': module('chart.js/dist/chart.umd.min.js'),
  ECharts: module('echarts/dist/echarts.min.js'),
} as const;
export type Library = keyof typeof LIBRARIES;

/**
 * Open a page that shows each metric in a panel of its own, by one of the libraries.
 *
 * It has the client library's points, and draws what is in sight four times a second, each library
 * without animation and with its own decimation: as someone would who has read its manual.
 */
export async function show(page: Page, url: string, library: Library): Promise<void> {
  await page.goto(`${url}/livez`);
  await page.setContent(
    `<style>
      body { margin: 8px; display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); }
      .panel { height: 220px; position: relative; }
    </style>`,
  );
  await page.addScriptTag({ path: LIBRARIES[library] });
  await page.addScriptTag({
    type: 'module',
    content: "import { connect } from '/client.js'; window.connect = connect;",
  });
  await page.waitForFunction(() => 'connect' in window);
  await page.evaluate(start, { library, windowMs: 15 * 60_000 });
}

/** Runs in the page. */
function start({ library, windowMs }: { library: Library; windowMs: number }): void {
  interface Line {
    readonly host: string;
    readonly times: Float64Array;
    readonly values: Float64Array;
  }
  // biome-ignore lint/suspicious/noExplicitAny: the libraries are plain scripts here
  const { Chart, echarts, connect } = window as any;
  const client = connect('/');
  const subscription = client.subscribe('', { window: '15m' });
  const charts = new Map<string, { draw(lines: Line[], from: number, to: number): void }>();
  const seen = new Set<Element>();
  const sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      seen[isIntersecting ? 'add' : 'delete'](target);
    }
  });
  const elements = new Map<string, HTMLElement>();

  function open(name: string, panel: HTMLElement) {
    if (library === 'Chart.js') {
      const chart = new Chart(panel.appendChild(document.createElement('canvas')), {
        type: 'line',
        data: { datasets: [] },
        options: {
          animation: false,
          parsing: false,
          normalized: true,
          maintainAspectRatio: false,
          elements: { point: { radius: 0 }, line: { borderWidth: 1.5 } },
          plugins: {
            decimation: { enabled: true, algorithm: 'min-max' },
            title: { display: true, text: name },
          },
          scales: { x: { type: 'linear' }, y: { min: 0, max: 100 } },
        },
      });
      return {
        draw(lines: Line[], from: number, to: number) {
          chart.options.scales.x.min = from;
          chart.options.scales.x.max = to;
          for (const [index, { host, times, values }] of lines.entries()) {
            const data = Array.from(times, (x, at) => ({ x, y: values[at]! }));
            chart.data.datasets[index] ??= { label: host, data };
            chart.data.datasets[index].data = data;
          }
          chart.update('none');
        },
      };
    }
    const chart = echarts.init(panel);
    return {
      draw(lines: Line[], from: number, to: number) {
        chart.setOption({
          animation: false,
          title: { text: name },
          xAxis: { type: 'time', min: from, max: to },
          yAxis: { min: 0, max: 100 },
          series: lines.map(({ host, times, values }) => ({
            name: host,
            type: 'line',
            showSymbol: false,
            sampling: 'minmax',
            data: Array.from(times, (time, at) => [time, values[at]!]),
          })),
        });
      },
    };
  }

  setInterval(() => {
    const metrics = new Map<string, Line[]>();
    for (const { name, labels, times, values } of subscription.series) {
      const lines = metrics.get(name) ?? [];
      lines.push({ host: labels.host, times, values });
      metrics.set(name, lines);
    }
    const to = Date.now();
    for (const [name, lines] of metrics) {
      let element = elements.get(name);
      if (element === undefined) {
        element = document.body.appendChild(document.createElement('div'));
        element.className = 'panel';
        elements.set(name, element);
        sight.observe(element);
      }
      if (seen.has(element)) {
        let chart = charts.get(name);
        if (chart === undefined) {
          chart = open(name, element);
          charts.set(name, chart);
        }
        chart.draw(lines, to - windowMs, to);
      }
    }
  }, 250);
}
