/** Forms of the editor: all in sight at any size, labelled, checked by the server, and helpful. */

import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ARTIFACTS, LONG, open, panel, violations } from './browser.ts';
import { goLive, newFolder } from './live.ts';
import { Server } from './server.ts';

let browser: Browser;
let server: Server;
let stop: () => Promise<void>;
const folder = newFolder();
beforeAll(async () => {
  ({ browser, server, stop } = await goLive({
    folder,
    environment: { PUSHSVC_DASHBOARDS_DIRECTORY: join(folder, 'saved') },
    samples: () => [
      ...['a', 'b'].map((host) => ({
        name: 'cpu_usage',
        labels: { host, core: '0' },
        help: 'Time in use.',
        value: 1,
      })),
      { name: 'http.server.duration', labels: { 'net.peer': 'зал' }, value: 2 },
    ],
  }));
  expect(
    await server.save('two', {
      title: 'A dashboard with choices',
      description: 'As long as descriptions are: what it is of, and whom to ask about it.',
      variables: [
        { name: 'host', label: 'host', select: 'cpu_usage{core="0",host=~"[a-z]+",host!="none"}' },
        { name: 'peer', label: 'net.peer', select: '{"http.server.duration"}' },
      ],
      panels: [
        {
          id: 'a',
          kind: 'line',
          select: 'cpu_usage{host="$host"}',
          thresholds: [{ at: 1, level: 'warning' }],
        },
      ],
    }),
  ).toBe(201);
});
afterAll(() => stop?.());

const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();

const SIZES = [
  [390, 700],
  [768, 900],
  [1440, 900],
  [2560, 1440],
] as const;

const EVERY_DAY = ['390 light', '1440 dark'];

describe.each(SIZES)('at %d by %d pixels', (width, height) => {
  for (const colorScheme of ['light', 'dark'] as const) {
    const often = EVERY_DAY.includes(`${width} ${colorScheme}`) ? {} : LONG;
    test(
      `dialogs are no wider than they are, with their buttons in sight and a label for each field (${colorScheme})`,
      often,
      async () => {
        const { page, failures, close } = await open(browser, `${server.url}/d/two?edit`, {
          colorScheme,
          viewport: { width, height },
        });
        for (const [name, button] of [
          ['settings', 'Settings'],
          ['panel', 'Change cpu_usage{host="$host"}'],
        ] as const) {
          await press(page, button);
          const dialog = page.getByRole('dialog');
          await dialog
            .getByText(/series match/)
            .first()
            .waitFor();
          const shape = await dialog.evaluate((root) => ({
            wider: root.scrollWidth - root.clientWidth,
            outside: [...root.querySelectorAll('*')].filter((element) => {
              const box = element.getBoundingClientRect();
              return box.width > 1 && box.right > root.getBoundingClientRect().right + 0.5;
            }).length,
            unlabelled: [...root.querySelectorAll<HTMLInputElement>('input, select')]
              .filter(({ labels }) => (labels?.[0]?.getBoundingClientRect().height ?? 0) < 10)
              .map(({ outerHTML }) => outerHTML),
          }));
          expect(shape).toEqual({ wider: 0, outside: 0, unlabelled: [] });
          for (const bottom of [false, true]) {
            await dialog.evaluate(
              (root, down) => root.scrollTo(0, down ? root.scrollHeight : 0),
              bottom,
            );
            const box = (await dialog.getByRole('button', { name: 'Apply' }).boundingBox())!;
            expect(box.x).toBeGreaterThanOrEqual(0);
            expect(box.x + box.width).toBeLessThanOrEqual(width);
            expect(box.y + box.height).toBeLessThanOrEqual(height);
          }
          await page.screenshot({ path: `${ARTIFACTS}/form-${name}-${width}-${colorScheme}.png` });
          expect(await violations(page, 'dialog')).toEqual([]);
          await press(page, 'Cancel');
        }
        expect(failures).toEqual([]);
        await close();
      },
    );
  }
});

/** Write over a text as people do: what is written over by a script keeps its looks. */
async function write(field: Locator, text: string): Promise<void> {
  await field.fill('');
  await field.fill(text);
}

test('a selector that can’t be read says where and why, and isn’t taken before it can', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/two?edit`);
  // Opened by its address, it has values of its variables to draw with.
  await panel(page, 'cpu_usage').locator('canvas').waitFor();
  await press(page, 'Settings');
  const dialog = page.getByRole('dialog');
  const field = dialog.getByLabel('Among the series of').first();
  await field.fill('cpu_usage{host=a}');
  const said = dialog.getByText(/can’t be read at character 16\. Expected a quoted value/);
  await said.waitFor();
  expect(await dialog.locator('mark').innerText()).toBe('a');
  expect(await field.getAttribute('aria-invalid')).toBe('true');
  await page.screenshot({ path: `${ARTIFACTS}/form-wrong.png` });
  expect(await violations(page, 'dialog')).toEqual([]);
  // Also where somebody was faster than the answer.
  await field.fill('cpu_usage{host="a"');
  await press(page, 'Apply');
  await dialog.getByText(/can’t be read at the end\. Expected .*}/).waitFor();
  expect(await dialog.isVisible()).toBe(true);
  await expect
    .poll(() => field.evaluate((element) => document.activeElement === element))
    .toBe(true);
  await field.fill('cpu_usage{host="a"}');
  await dialog.getByText('1 series matches: Time in use.').waitFor();
  expect(await field.getAttribute('aria-invalid')).not.toBe('true');
  await press(page, 'Apply');
  await dialog.waitFor({ state: 'detached' });

  await press(page, 'Add a panel');
  await write(dialog.getByLabel('Selector'), 'rate(cpu_usage)');
  await press(page, 'Add');
  await dialog.getByText(/at character \d+\. Expected a range vector/).waitFor();
  // The place is one in what was written, whatever variables stand for.
  await write(dialog.getByLabel('Selector'), 'cpu_usage{host="$host",core=0}');
  await dialog.getByText(/at character 29\. Expected a quoted value/).waitFor();
  await write(dialog.getByLabel('Selector'), 'cpu_usage{host="$host"}');
  await dialog.getByText(/1 series matches/).waitFor();
  await press(page, 'Add');
  await dialog.waitFor({ state: 'detached' });
  expect(await page.locator('.panel').count()).toBe(2);
  expect(failures).toEqual([]);
  await close();
});

test('names of metrics and labels, and their values, are offered, of any text', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/two?edit`);
  await press(page, 'Add a panel');
  const dialog = page.getByRole('dialog');
  const field = dialog.getByRole('textbox', { name: 'Selector' });
  const list = dialog.getByRole('listbox', { name: 'Completions' });
  const written = () => field.innerText();
  // Nothing is offered unasked.
  expect(await list.isVisible()).toBe(false);
  await page.keyboard.type('cp');
  await list.getByRole('option', { name: 'cpu_usage' }).waitFor();
  await page.keyboard.press('ArrowDown');
  await expect.poll(() => field.getAttribute('aria-activedescendant')).not.toBe(null);
  const active = await field.getAttribute('aria-activedescendant');
  expect(await page.locator(`[id="${active}"]`).getAttribute('aria-selected')).toBe('true');
  await page.keyboard.press('Enter');
  expect(await written()).toBe('cpu_usage');
  await page.keyboard.type('{h');
  await list.getByRole('option', { name: 'host' }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  expect(await written()).toBe('cpu_usage{host="');
  await expect.poll(() => list.getByRole('option').allInnerTexts()).toEqual(['a', 'b']);
  await page.screenshot({ path: `${ARTIFACTS}/form-offers.png` });
  expect(await violations(page, 'dialog')).toEqual([]);
  // Escape closes the list, and only then the dialog.
  await page.keyboard.press('Escape');
  expect(await list.isVisible()).toBe(false);
  expect(await dialog.isVisible()).toBe(true);
  // Down opens it; Up goes round to the last.
  await page.keyboard.press('ArrowDown');
  await list.getByRole('option', { name: 'b' }).waitFor();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  expect(await written()).toBe('cpu_usage{host="b"}');
  await dialog.getByText(/1 series matches/).waitFor();
  // What PromQL takes only in quotes is written so.
  await field.fill('');
  await page.keyboard.type('server');
  await list.getByRole('option', { name: 'http.server.duration' }).click();
  expect(await written()).toBe('{"http.server.duration"}');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.type(',net');
  await list.getByRole('option', { name: 'net.peer' }).click();
  await list.getByRole('option', { name: 'зал' }).click();
  expect(await written()).toBe('{"http.server.duration","net.peer"="зал"}');
  await dialog.getByText(/1 series matches/).waitFor();
  await dialog.getByLabel('Title').fill('Hall');
  await press(page, 'Add');
  await panel(page, 'Hall').locator('canvas').waitFor();

  await press(page, 'Settings');
  await press(page, 'Add a variable');
  await dialog.getByLabel('Among the series of').last().fill('cpu_usage');
  await dialog.getByRole('combobox', { name: 'Label' }).last().fill('');
  await page.keyboard.press('ArrowDown');
  const labels = dialog.getByRole('listbox', { name: 'Suggestions' }).getByRole('option');
  await expect.poll(() => labels.allInnerTexts()).toEqual(['core', 'host']);
  expect(failures).toEqual([]);
  await close();
});

test('of 5,000 series those are asked for that fit what is written, and little of them', async () => {
  const many = await Server.start('serve', 0, {
    PUSHSVC_DASHBOARDS_DIRECTORY: join(folder, 'many'),
  });
  const panels = [{ id: 'a', kind: 'line', select: 'metric_1' }];
  expect(await many.save('one', { title: 'One', panels })).toBe(201);
  const hosts = Array.from({ length: 5_000 }, (_, at) => ({
    name: `metric_${at % 100}`,
    labels: { host: `host-${at}`, datacenter: `dc-${at % 7}` },
    help: 'What many machines say of themselves, each once.',
    value: at,
  }));
  await many.publish(...hosts);
  const { page, failures, close } = await open(browser, `${many.url}/d/one?edit`);
  const asked: { url: URL; bytes: number; ms: number }[] = [];
  page.on('requestfinished', async (request) => {
    const url = new URL(request.url());
    if (/\/v1\/(series|label)/.test(url.pathname)) {
      const { responseBodySize } = await request.sizes();
      const { requestStart, responseEnd } = request.timing();
      asked.push({ url, bytes: responseBodySize, ms: responseEnd - requestStart });
    }
  });
  await press(page, 'Add a panel');
  const dialog = page.getByRole('dialog');
  const field = dialog.getByRole('textbox', { name: 'Selector' });
  const list = dialog.getByRole('listbox', { name: 'Completions' });
  await field.focus();
  await page.waitForTimeout(500);
  // Only those count that come while one writes; the list of all was asked for before.
  asked.length = 0;
  await page.keyboard.type('metric_9');
  await expect.poll(() => list.getByRole('option').count()).toBe(11);
  await page.keyboard.type('{host="host-4');
  await expect.poll(() => list.getByRole('option').first().innerText()).toBe('host-409');
  await page.keyboard.type('999"}');
  await dialog.getByText('No series matches now').waitFor();
  await write(field, '{__name__=~"metric.*"}');
  await dialog.getByText('5000 series match').waitFor();
  const names = asked.filter(({ url }) => url.pathname.includes('label_'));
  console.log(
    `${names.length} questions, ${Math.max(...names.map(({ bytes }) => bytes))} bytes at most, ` +
      `${Math.max(...names.map(({ ms }) => ms)).toFixed(0)} ms at most`,
  );
  // Not one for each letter; what is known whole isn't asked for again.
  expect(names.length).toBeLessThanOrEqual(12);
  for (const { url, bytes } of asked) {
    expect(url.searchParams.get('limit'), url.search).not.toBeNull();
    expect(bytes, url.search).toBeLessThan(url.pathname.endsWith('series') ? 20_000 : 2_000);
  }
  expect(failures).toEqual([]);
  await close();
  await many.stop();
});
