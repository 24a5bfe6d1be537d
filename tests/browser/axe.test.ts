/** All that the page can look like, at all sizes, by all of axe's rules. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, launch, open, panel, violations } from './browser.ts';
import { Server } from './server.ts';

const LOOKS = [
  [390, 844, 'light'],
  [768, 1024, 'light'],
  [1440, 900, 'light'],
  [1440, 900, 'dark'],
  [2560, 1440, 'light'],
] as const;

let browser: Browser;
let server: Server;
let locked: Server;
let publishing: ReturnType<typeof setInterval>;
const folder = mkdtempSync(join(tmpdir(), 'pushsvc-axe-'));
beforeAll(async () => {
  [browser, server, locked] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_DASHBOARDS_DIRECTORY: join(folder, 'saved') }),
    Server.start('serve', 0, {
      PUSHSVC_AUTH_MODE: 'jwt',
      PUSHSVC_AUTH_SECRET: 'a secret of more than thirty-two bytes',
    }),
  ]);
  const publish = () =>
    server.publish(
      ...Array.from({ length: 24 }, (_, core) => ({
        name: 'cpu_usage',
        labels: { core: String(core), host: 'a' },
        unit: 'ratio',
        help: 'Time in use.',
        value: (core + 1) / 30 + 0.02 * Math.sin(Date.now() / 2000 + core),
      })),
      ...['web', 'db'].map((unit) => ({
        name: 'service_up',
        labels: { unit },
        kind: 'state',
        value: true,
      })),
      { name: 'requests', kind: 'counter', value: Math.floor(Date.now() / 10) % 1e7 },
    );
  await publish();
  publishing = setInterval(() => void publish().catch(() => {}), 300);
  const place = (x: number, y: number, w: number, h = 4) => ({ x, y, w, h });
  expect(
    await server.save('all', {
      title: 'All there is',
      description: 'Of each kind one.',
      variables: [{ name: 'core', label: 'core', select: 'cpu_usage' }],
      panels: [
        { id: 'a', title: 'Lines', kind: 'line', select: 'cpu_usage', grid: place(0, 0, 6, 5) },
        { id: 'b', title: 'Stat', kind: 'stat', select: 'requests', grid: place(6, 0, 3) },
        {
          id: 'c',
          title: 'Gauge',
          kind: 'gauge',
          select: 'cpu_usage{core="$core"}',
          thresholds: [{ at: 0.01, level: 'critical' }],
          grid: place(9, 0, 3),
        },
        { id: 'd', title: 'Heat', kind: 'heatmap', select: 'cpu_usage', grid: place(0, 5, 6) },
        { id: 'e', title: 'Table', kind: 'table', select: 'cpu_usage', grid: place(6, 5, 6, 3) },
        { id: 'f', title: 'States', kind: 'timeline', select: 'service_up', grid: place(0, 9, 6) },
        { id: 'g', kind: 'area', select: 'no_such_metric', grid: place(6, 9, 6) },
        // Nothing keeps two from having one name.
        { id: 'h', kind: 'table', select: 'cpu_usage', grid: place(0, 13, 6) },
        { id: 'j', kind: 'row', title: 'A row', grid: place(0, 17, 12, 1) },
        {
          id: 'k',
          title: 'Bars',
          kind: 'bars',
          select: 'cpu_usage',
          links: [{ title: 'More', url: 'd/all' }],
          data_links: [{ title: 'Core {{core}}', url: 'd/all?var-core={{core}}' }],
          grid: place(0, 18, 3),
        },
        {
          id: 'l',
          title: 'Pie',
          kind: 'pie',
          select: 'cpu_usage',
          lines: [{ regex: '1', colour: '#ffff00' }],
          grid: place(3, 18, 3),
        },
        {
          id: 'm',
          title: 'Numbers',
          kind: 'timeline',
          select: 'cpu_usage',
          mappings: [{ min: 0, text: 'busy', colour: '#ffff00' }],
          grid: place(6, 18, 6, 7),
        },
        { id: 'n', kind: 'row', title: 'Folded', collapsed: true, grid: place(0, 25, 12, 1) },
        { id: 'i', kind: 'table', select: 'cpu_usage', grid: place(6, 13, 6) },
      ],
    }),
  ).toBe(201);
});
afterAll(async () => {
  clearInterval(publishing);
  await Server.stopAll();
  await browser?.close();
  rmSync(folder, { recursive: true });
});

const drawn = (page: Page) => panel(page, 'Lines').locator('canvas').waitFor();

const STATES: readonly (readonly [
  name: string,
  path: string | (() => string),
  ready: (page: Page) => Promise<unknown>,
])[] = [
  ['overview', '', (page) => panel(page, 'cpu_usage').locator('canvas').waitFor()],
  ['dashboard', 'd/all', drawn],
  [
    'all-lines',
    'd/all',
    async (page) => {
      await drawn(page);
      await page
        .getByRole('button', { name: /^\d+ more$/ })
        .first()
        .click();
      await page.getByRole('button', { name: 'min · max · mean' }).first().click({ force: true });
    },
  ],
  ['editor', 'd/all?edit', drawn],
  [
    'settings',
    'd/all?edit',
    async (page) => {
      await page.getByRole('button', { name: 'Settings' }).click();
      await page
        .getByRole('dialog')
        .getByText(/series match/)
        .waitFor();
    },
  ],
  ['kiosk', 'd/all?kiosk', drawn],
  ['overview-kiosk', '?kiosk', (page) => panel(page, 'cpu_usage').locator('canvas').waitFor()],
  ['alone', 'd/all?panel=a', drawn],
  [
    'alone-table',
    'd/all?panel=e',
    (page) => panel(page, 'Table').getByRole('row').nth(3).waitFor(),
  ],
  ['clients', 'clients', (page) => page.getByRole('table').first().waitFor()],
  ['doctor', 'doctor', (page) => page.getByRole('heading', { level: 1 }).waitFor()],
  ['login', () => `${locked.url}/`, (page) => page.getByLabel('Your key or token').waitFor()],
  [
    'login-refused',
    () => `${locked.url}/`,
    async (page) => {
      await page.getByLabel('Your key or token').fill('none');
      await page.getByRole('button').click();
      await page.getByRole('alert').waitFor();
    },
  ],
  ['nothing', 'd/nothing', (page) => page.getByRole('alert').waitFor()],
  ['nonsense', 'nonsense', (page) => page.getByRole('link', { name: 'All metrics' }).waitFor()],
  ['wrong-address', '?window=banana', (page) => page.getByRole('alert').waitFor()],
  [
    'keys',
    '',
    async (page) => {
      await expectFreshness(page, 'Live');
      await page.keyboard.press('?');
      await page.getByRole('dialog').waitFor();
    },
  ],
];

async function look(page: Page, name: string, looks: readonly (typeof LOOKS)[number][]) {
  for (const [width, height, colorScheme] of looks) {
    // Without motion nothing is seen half faded.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(300);
    const file = `${ARTIFACTS}/axe-${name}-${width}-${colorScheme}.png`;
    await page.screenshot({ path: file });
    expect(await violations(page), `${name} at ${width}, ${colorScheme}`).toEqual([]);
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow, `${name} at ${width}`).toBe(0);
  }
}

async function expectGood(
  [name, path, ready]: (typeof STATES)[number],
  looks: readonly (typeof LOOKS)[number][],
): Promise<void> {
  const url = typeof path === 'string' ? `${server.url}/${path}` : path();
  const { page, failures, close } = await open(browser, url);
  await ready(page);
  await look(page, name, looks);
  expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1);
  expect(failures).toEqual([]);
  await close();
}

/** Every other one every day, in one look each, so that all looks have their turn. */
const DAILY = STATES.filter((_, at) => at % 2 === 0);
test.each(DAILY.map((state, at) => [state[0], LOOKS[at % LOOKS.length]!, state] as const))(
  '%s at %s',
  (_, one, state) => expectGood(state, [one]),
);

test.each(STATES.map((state) => [state[0], state] as const))('%s at all sizes', LONG, (_, state) =>
  expectGood(state, LOOKS),
);

test('an outage', LONG, async () => {
  const gone = await Server.start();
  await gone.publish({ name: 'up', value: 1 });
  const { page, close } = await open(browser, gone.url);
  await panel(page, 'up').locator('canvas').waitFor();
  await gone.stop('SIGKILL');
  await page.locator('.outage').waitFor();
  await look(page, 'outage', LOOKS);
  await close();
});
