/** Variables of dashboards: several values, all, lists of one's own; and dashboards of Grafana's. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, open, panel, violations } from './browser.ts';
import { goLive, newFolder } from './live.ts';
import type { Server } from './server.ts';

const FLEET = {
  title: 'Fleet',
  interval: '1s',
  variables: [
    { name: 'site', title: 'Site', label: 'site', select: 'load' },
    {
      name: 'host',
      title: 'Host',
      label: 'host',
      select: 'load{site="$site"}',
      multi: true,
      all: true,
      default: ['$__all'],
    },
    { name: 'span', values: ['10s', '1m'], default: ['1m'] },
  ],
  panels: [
    { id: 'top', kind: 'text', title: 'About $host', grid: { x: 0, y: 0, w: 12, h: 1 } },
    {
      id: 'load',
      title: 'Load of $host',
      kind: 'line',
      select: 'load{site="$site",host="$host"}',
      legend: '{{host}} at $site',
      grid: { x: 0, y: 1, w: 6, h: 4 },
    },
    {
      id: 'mean',
      title: 'Means over $span',
      kind: 'table',
      select: 'avg(avg_over_time(load{host=~"$host"}[$span]))',
      legend: 'mean',
      also: [{ select: 'max(max_over_time(load{host=~"$host"}[$__range]))', legend: 'highest' }],
      decimals: 2,
      grid: { x: 6, y: 1, w: 6, h: 4 },
    },
    {
      id: 'words',
      kind: 'text',
      text: 'Of $host:\n<b>what it does</b>.',
      grid: { x: 0, y: 5, w: 12, h: 2 },
    },
  ],
};

let browser: Browser;
let server: Server;
let stop: () => Promise<void>;
const folder = newFolder();
const hosts = Array.from({ length: 14 }, (_, at) => `web-${at + 1}`);

beforeAll(async () => {
  ({ browser, server, stop } = await goLive({
    folder,
    environment: { PUSHSVC_DASHBOARDS_DIRECTORY: folder },
    samples: () => [
      ...hosts.map((host, at) => ({ name: 'load', labels: { host, site: 'a' }, value: at + 1 })),
      { name: 'load', labels: { host: 'db.1', site: 'b' }, value: 40 },
    ],
  }));
  expect(await server.save('fleet', FLEET)).toBe(201);
});
afterAll(() => stop?.());

const valuesIn = (page: Page, name: string): string[] =>
  new URL(page.url()).searchParams.getAll(`var-${name}`);

test('several values are chosen by keys, from a list that can be searched and is live', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/fleet`);
  await panel(page, 'Load of All').locator('canvas').waitFor();
  await page.getByRole('heading', { name: 'About All' }).waitFor();
  const choice = page.getByRole('button', { name: 'Host All' });
  await choice.focus();
  await page.keyboard.press('Enter');
  const search = page.getByRole('searchbox', { name: 'Search values of Host' });
  await search.waitFor();
  await expect
    .poll(() => search.evaluate((field) => field === document.activeElement), { timeout: 30_000 })
    .toBe(true);
  await page.keyboard.type('web-1');
  await expect.poll(() => page.getByRole('checkbox').count()).toBe(6);
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await panel(page, 'Load of web-1').locator('canvas').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await panel(page, 'Load of web-1 + web-10').locator('canvas').waitFor();
  await expect.poll(() => valuesIn(page, 'host')).toEqual(['web-1', 'web-10']);
  const names = panel(page, 'Load of web-1 + web-10').locator('.legend .name');
  await expect
    .poll(async () => (await names.allInnerTexts()).sort(), { timeout: 30_000 })
    .toEqual(['web-1 at a', 'web-10 at a']);
  await page.screenshot({ path: `${ARTIFACTS}/variables.png` });
  // A host that is new is in the list without anybody's doing.
  await search.fill('new');
  await page.getByText('None of 14 has that in it.').waitFor();
  hosts.push('new-1');
  await page.getByRole('checkbox', { name: 'new-1' }).waitFor({ timeout: 30_000 });
  hosts.pop();
  await page.keyboard.press('Escape');
  await expect.poll(() => search.count()).toBe(0);
  const summary = page.getByRole('button', { name: 'Host web-1, web-10' });
  await expect
    .poll(() => summary.evaluate((button) => button === document.activeElement))
    .toBe(true);
  // Back takes a choice back.
  await page.goBack();
  await panel(page, 'Load of web-1').locator('canvas').waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('expressions are worked out for what is chosen, under the names that they are given', async () => {
  const url = `${server.url}/d/fleet?var-host=web-2&var-host=web-4`;
  const { page, failures, close } = await open(browser, url);
  const means = panel(page, 'Means over 1m');
  await expect
    .poll(() => means.locator('tbody tr').allInnerTexts(), { timeout: 30_000 })
    .toEqual([expect.stringMatching(/^highest\s+4\.00/), expect.stringMatching(/^mean\s+3\.00/)]);
  await page.getByRole('combobox', { name: 'span' }).selectOption('10s');
  await panel(page, 'Means over 10s').locator('tbody tr').first().waitFor();
  await page.locator('.words b', { hasText: 'what it does' }).waitFor();
  expect(await page.getByText('Of web-2 + web-4:').count()).toBe(1);
  // What depends on another choice is chosen anew where it isn't of that.
  await page.getByRole('combobox', { name: 'Site' }).selectOption('b');
  await panel(page, 'Load of db.1').locator('canvas').waitFor();
  expect(failures).toEqual([]);
  await close();
});

test('of a dashboard with more expressions than a stream takes those in sight are worked out', async () => {
  const panels = Array.from({ length: 60 }, (_, at) => ({
    id: `p${at}`,
    title: `Panel ${at}`,
    kind: 'line',
    select: `max(load{site="a"}) * ${at} + sum(load{site="b"})`,
    grid: { x: 0, y: 4 * at, w: 12, h: 4 },
  }));
  expect(await server.save('crowded', { title: 'Crowded', panels })).toBe(201);
  const { page, failures, close } = await open(browser, `${server.url}/d/crowded`);
  await panel(page, 'Panel 0').locator('canvas').waitFor();
  expect(await panel(page, 'Panel 59').locator('canvas').count()).toBe(0);
  await panel(page, 'Panel 59').scrollIntoViewIfNeeded();
  await panel(page, 'Panel 59').locator('canvas').waitFor();
  await expect.poll(() => panel(page, 'Panel 0').locator('canvas').count()).toBe(0);
  expect(failures).toEqual([]);
  await close();
});

test('of values that can’t be chosen it is said so', async () => {
  const { page, close } = await open(
    browser,
    `${server.url}/d/fleet?var-span=2m&var-site=a&var-site=b&var-host=gone`,
  );
  await page
    .getByText('var-span=2m in the address is none of its values: it has 10s, 1m.')
    .waitFor();
  await page.getByText('var-site is in the address more than once: a counts.').waitFor();
  await page.getByRole('button', { name: 'Host gone' }).click();
  await page.getByRole('checkbox', { name: 'gone (not there now)' }).waitFor();
  await close();
});

test('on a phone what is chosen from is large enough, and in sight', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/fleet`, {
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
  });
  await page.getByRole('button', { name: 'Host All' }).tap();
  await page.getByRole('checkbox', { name: 'web-14' }).waitFor();
  const heights = await page
    .locator('.variable :is(button, select, input[type=search], label)')
    .evaluateAll((all) => all.map((one) => one.getBoundingClientRect().height));
  expect(heights.filter((height) => height < 32)).toEqual([]);
  const box = (await page.locator('.variable .values').boundingBox())!;
  expect(box.x).toBeGreaterThanOrEqual(0);
  expect(box.x + box.width).toBeLessThanOrEqual(390);
  await page.screenshot({ path: `${ARTIFACTS}/variables-phone.png` });
  await page.getByRole('checkbox', { name: 'web-2', exact: true }).tap();
  await panel(page, 'Load of web-2').waitFor();
  const wider = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(wider).toBe(0);
  await page.getByRole('heading', { name: 'Fleet' }).tap();
  await expect.poll(() => page.getByRole('checkbox').count()).toBe(0);
  expect(failures).toEqual([]);
  await close();
});

test('what stands before a choice, and what all of it is, are edited', async () => {
  expect(await server.save('edited', FLEET)).toBe(201);
  const { page, failures, close } = await open(browser, `${server.url}/d/edited?edit`);
  await page.getByRole('button', { name: 'Settings', exact: true }).click();
  const form = page.getByRole('dialog', { name: 'Settings' });
  const host = form.getByRole('group', { name: 'Variable 2' });
  expect(await host.getByLabel('Shown as').inputValue()).toBe('Host');
  await host.getByLabel('Shown as').fill('Machine');
  await host.getByLabel('All of them are').fill('web-1.*');
  // Without a choice of all there is no field for what all of them are.
  const site = form.getByRole('group', { name: 'Variable 1' });
  expect(await site.getByLabel('All of them are').count()).toBe(0);
  await site.getByLabel('Shown as').fill('');
  expect(await violations(page, 'dialog')).toEqual([]);
  await page.screenshot({ path: `${ARTIFACTS}/variables-settings.png` });
  await form.getByRole('button', { name: 'Apply' }).click();
  await page.getByRole('button', { name: 'Machine All' }).waitFor();
  await page.getByRole('combobox', { name: 'site', exact: true }).waitFor();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Saved as').waitFor({ state: 'attached' });
  const kept = await (await fetch(`${server.url}/v1/dashboards/edited`)).json();
  expect(kept.variables).toEqual([
    { name: 'site', label: 'site', select: 'load' },
    { ...FLEET.variables[1], title: 'Machine', all_value: 'web-1.*' },
    FLEET.variables[2],
  ]);
  // All are those that match: web-1 and web-10 to web-14.
  const means = panel(page, 'Means over 1m');
  await expect
    .poll(() => means.locator('tbody tr').allInnerTexts(), { timeout: 30_000 })
    .toEqual([expect.stringMatching(/^highest\s+14\.00/), expect.stringMatching(/^mean\s/)]);
  // Without all there is nothing that it could be.
  await page.getByRole('button', { name: 'Settings', exact: true }).click();
  await host.getByLabel('All at once').uncheck();
  await host.getByLabel('All at once').check();
  expect(await host.getByLabel('All of them are').inputValue()).toBe('');
  expect(failures).toEqual([]);
  await close();
});

test('a dashboard of Grafana’s is taken after it was said what is left out', async () => {
  const theirs = {
    title: 'From Grafana',
    schemaVersion: 39,
    tags: ['a'],
    panels: [
      { type: 'logs', title: 'Journal', gridPos: { x: 0, y: 0, w: 12, h: 8 } },
      {
        type: 'timeseries',
        title: 'Load',
        gridPos: { x: 12, y: 0, w: 12, h: 8 },
        targets: [{ refId: 'A', expr: 'sum(load)', legendFormat: 'all of it' }],
      },
    ],
  };
  const file = join(folder, '.grafana.json');
  writeFileSync(file, JSON.stringify(theirs));
  const { page, failures, close } = await open(browser, `${server.url}/d/theirs?edit`);
  await page.getByLabel('Import').setInputFiles(file);
  const dialog = page.getByRole('dialog', { name: 'Import From Grafana' });
  await dialog.getByText('1 of 2 panels can be taken. This is left out:').waitFor();
  await dialog.getByText('a panel of the kind logs, which there is none of here').waitFor();
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: `${ARTIFACTS}/import.png` });
  await dialog.getByRole('button', { name: 'Take it' }).click();
  await panel(page, 'Load').locator('canvas').waitFor();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved as').waitFor({ state: 'attached' });
  writeFileSync(file, '{"apiVersion":"dashboard.grafana.app/v2beta1","spec":{}}');
  await page.getByLabel('Import').setInputFiles(file);
  await page.getByRole('alert').filter({ hasText: 'export it from Grafana as Classic' }).waitFor();
  expect(failures).toEqual([]);
  await close();
});

/** Markdown with most of what there is, and with what may do harm. */
const TEXT = `# Of $host

Some *words* on \`load\`, [here](https://example.org/a), [there](d/hosts), [bad](javascript:alert(1))
and [in place](#here).

### Steps

1. one
2. two
   - [x] done
   - [ ] open

| what | how |
|------|----:|
| a \u202e | 1 |

> quoted

\`\`\`
<b>code</b>
\`\`\`

![a plan](https://example.org/plan.png) ![ours](favicon.svg)

<img src=x onerror="alert(1)"><script>alert(2)</script><style>* { display: none }</style>
<iframe src="https://example.org"></iframe><p style="color: red" onclick="alert(3)" id="panels">last</p>
`;

test.each([
  ['light', 390],
  ['dark', 1440],
  ['forced', 768],
] as const)('a text is Markdown, and harmless (%s, %i px)', async (look, width) => {
  await server.save('texts', {
    title: 'Texts',
    variables: [{ name: 'host', values: ['*web*', 'db'] }],
    panels: [
      { id: 'a', kind: 'text', title: 'Notes', text: TEXT, grid: { x: 0, y: 0, w: 6, h: 8 } },
      { id: 'b', kind: 'text', text: '## No title\nof its own', grid: { x: 6, y: 0, w: 6, h: 2 } },
    ],
  });
  const { page, failures, close } = await open(browser, `${server.url}/d/texts`, {
    viewport: { width, height: 900 },
    colorScheme: look === 'dark' ? 'dark' : 'light',
    forcedColors: look === 'forced' ? 'active' : 'none',
  });
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  const notes = panel(page, 'Notes');
  // What was filled in is text, whatever it has in it; headings go on below the panel's title.
  await notes.getByRole('heading', { name: 'Of *web*', level: 4 }).waitFor();
  await notes.getByRole('heading', { name: 'Steps', level: 5 }).waitFor();
  await page.getByRole('heading', { name: 'No title', level: 3 }).waitFor();
  const link = (name: string) => notes.getByText(name, { exact: true });
  expect(await link('here').getAttribute('rel')).toBe('noopener noreferrer');
  expect(await link('there').getAttribute('target')).toBeNull();
  expect(await link('bad').getAttribute('href')).toBeNull();
  expect(await link('in place').getAttribute('href')).toBeNull();
  const plan = notes.getByRole('link', { name: 'a plan (a picture, not shown here)' });
  expect(await plan.getAttribute('href')).toBe('https://example.org/plan.png');
  await expect
    .poll(() => notes.getByAltText('ours').evaluate((one) => (one as HTMLImageElement).complete))
    .toBe(true);
  expect(await notes.locator('script, style, iframe, [style], [onclick], [id]').count()).toBe(0);
  expect(await notes.getByText('\u202e').count()).toBe(0);
  expect(await notes.getByText('<b>code</b>').count()).toBe(1);
  expect(asked.filter((url) => !url.startsWith(server.url) && !url.startsWith('data:'))).toEqual(
    [],
  );
  await notes.getByText('[x] done').waitFor();
  expect(await notes.getByText('display: none').count()).toBe(0);
  const heading = notes.getByRole('heading', { name: 'Notes', level: 3 });
  expect(
    await heading.evaluate(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight),
  ).toBeLessThanOrEqual(1);
  await page.screenshot({ path: `${ARTIFACTS}/text-${look}-${width}.png`, fullPage: true });
  expect(await violations(page)).toEqual([]);
  expect(failures).toEqual([]);
  await close();
});
