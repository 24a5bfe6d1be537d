/** A dashboard is made, saved and read again; two who save at once; all of it by keyboard as well. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, open, panel, violations } from './browser.ts';
import { goLive, newFolder } from './live.ts';
import type { Server } from './server.ts';

let browser: Browser;
let server: Server;
let stop: () => Promise<void>;
const folder = newFolder();
beforeAll(async () => {
  ({ browser, server, stop } = await goLive({
    folder,
    environment: { PUSHSVC_DASHBOARDS_DIRECTORY: join(folder, 'saved') },
    samples: () => [
      ...[0, 1, 2, 3].map((core) => ({
        name: 'cpu_usage',
        labels: { core: String(core) },
        unit: 'ratio',
        value: (core + 1) / 6 + 0.1 * Math.sin(Date.now() / 2000 + core),
      })),
      { name: 'requests', kind: 'counter', value: Math.floor(Date.now() / 10) % 1e7 },
    ],
    everyMs: 250,
  }));
});
afterAll(() => stop?.());

const two = {
  title: 'Two',
  panels: [
    { id: 'a', title: 'A', kind: 'line', select: 'cpu_usage', grid: { x: 0, y: 0, w: 6, h: 4 } },
    { id: 'b', title: 'B', kind: 'stat', select: 'requests', grid: { x: 6, y: 0, w: 6, h: 4 } },
  ],
};
beforeEach(async () => {
  const url = `${server.url}/v1/dashboards/two`;
  await fetch(url, { method: 'DELETE', headers: { 'If-Match': '*' } });
  expect(await server.save('two', two)).toBe(201);
});

interface Stored {
  readonly title: string;
  readonly panels: readonly {
    readonly id: string;
    readonly kind: string;
    readonly select: string;
    readonly grid: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
    readonly [more: string]: unknown;
  }[];
}

async function stored(name: string): Promise<Stored> {
  return (await fetch(`${server.url}/v1/dashboards/${name}`)).json() as Promise<Stored>;
}

const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();

describe.each([
  ['light', {}],
  ['dark', LONG],
] as const)('in the %s theme', (colorScheme, often) => {
  test('a dashboard is made from nothing, saved, and there after a reload', often, async () => {
    const { page, failures, close } = await open(browser, server.url, {
      colorScheme,
      viewport: { width: 1440, height: 900 },
    });
    await expectFreshness(page, 'Live');
    await page.getByRole('button', { name: 'Dashboard: All metrics' }).click();
    await page.getByRole('link', { name: 'New dashboard…' }).click();
    await page.getByRole('heading', { name: 'An empty dashboard' }).waitFor();
    await press(page, 'Settings');
    await page.getByLabel('Title').fill(`Made in ${colorScheme}`);
    await page.getByLabel('Window at first').fill('1m');
    await press(page, 'Apply');
    for (const [title, kind, selector] of [
      ['Stack', 'stacked', 'cpu_usage'],
      ['Heat', 'heatmap', 'cpu_usage{core=~"0|1|2|3"}'],
      ['Raw', 'line', 'requests'],
    ] as const) {
      await press(page, 'Add a panel');
      const form = page.getByRole('dialog');
      await form.getByLabel('Selector').fill(selector);
      await form.getByText(/series match/).waitFor();
      await form.getByLabel('Title').fill(title);
      await form.getByLabel('Shown as').selectOption(kind);
      if (kind === 'heatmap') {
        await form.getByLabel('A row for each').selectOption('core');
      }
      if (title === 'Raw') {
        await form.getByLabel('Counters as their change per second').uncheck();
        await press(page, 'Add a threshold');
        // In Firefox what is filled in stands behind what is there: BiDi selects no numbers.
        await form.getByLabel('Value', { exact: true }).fill('');
        await form.getByLabel('Value', { exact: true }).fill('2.5');
        await form.getByLabel('Level').selectOption('critical');
      }
      await form.locator('.preview canvas').waitFor();
      if (title === 'Heat') {
        await page.waitForTimeout(800);
        await page.screenshot({ path: `${ARTIFACTS}/editor-form-${colorScheme}.png` });
        expect(await violations(page, 'dialog')).toEqual([]);
      }
      await press(page, 'Add');
    }
    await page.waitForTimeout(1000);
    await page.screenshot({ path: `${ARTIFACTS}/editor-${colorScheme}.png` });
    expect(await violations(page)).toEqual([]);
    await press(page, 'Save');
    const name = page.getByRole('dialog').getByLabel('Name');
    expect(await name.inputValue()).toBe(`made-in-${colorScheme}`);
    await name.press('Enter');
    await page.getByText(`Saved as made-in-${colorScheme}`).waitFor({ state: 'attached' });
    await press(page, 'Done');
    await page.waitForURL(new RegExp(`/d/made-in-${colorScheme}$`));
    expect(await page.getByRole('radio', { name: '1m', exact: true }).isChecked()).toBe(true);
    await page.reload();
    for (const title of ['Stack', 'Heat', 'Raw']) {
      await panel(page, title).locator('canvas').waitFor();
    }
    expect(await panel(page, 'Raw').getByText('per second').count()).toBe(0);
    expect((await stored(`made-in-${colorScheme}`)).panels).toMatchObject([
      { kind: 'stacked', grid: { x: 0, y: 0, w: 6, h: 4 } },
      { kind: 'heatmap', by: 'core', grid: { x: 6, y: 0 } },
      { select: 'requests', rate: false, thresholds: [{ at: 2.5, level: 'critical' }] },
    ]);
    await page.waitForTimeout(1500);
    await page.screenshot({ path: `${ARTIFACTS}/kinds-${colorScheme}.png` });
    expect(failures).toEqual([]);
    await close();
  });
});

test('panels are dragged and sized with a pointer, and with the keyboard alone', async () => {
  const { page, close } = await open(browser, `${server.url}/d/two?edit`, {
    viewport: { width: 1280, height: 900 },
  });
  const grip = page.getByRole('button', { name: 'Move or size A' });
  await grip.waitFor();
  const drag = async (from: { x: number; y: number }, dx: number, dy: number) => {
    await page.mouse.move(from.x, from.y);
    await page.mouse.down();
    await page.mouse.move(from.x + dx / 2, from.y + dy / 2);
    await page.mouse.move(from.x + dx, from.y + dy);
  };
  const middle = async () => {
    const { x, y, width, height } = (await grip.boundingBox())!;
    return { x: x + width / 2, y: y + height / 2 };
  };
  const before = (await panel(page, 'A').boundingBox())!;
  // What is dragged and let go with Escape is where it was.
  await drag(await middle(), before.width + 12, 0);
  await expect.poll(async () => (await panel(page, 'A').boundingBox())!.x).toBeGreaterThan(500);
  await page.keyboard.press('Escape');
  await page.mouse.up();
  // (The bar above may have become higher meanwhile.)
  expect(await panel(page, 'A').boundingBox()).toMatchObject({ x: before.x, width: before.width });
  await drag(await middle(), before.width + 12, 0);
  await page.mouse.up();
  await page.getByText('A: column 7, row 1, 6 wide, 4 high').waitFor({ state: 'attached' });
  const { x, y, width, height } = (await panel(page, 'A').boundingBox())!;
  await drag({ x: x + width - 6, y: y + height - 6 }, -width / 2, height / 2);
  await page.mouse.up();
  await page.getByText('A: column 7, row 1, 3 wide, 6 high').waitFor({ state: 'attached' });
  await grip.focus();
  for (const key of ['ArrowLeft', 'ArrowLeft', 'Shift+ArrowRight', 'Shift+ArrowUp']) {
    await page.keyboard.press(key);
  }
  await page.getByText('A: column 5, row 1, 4 wide, 5 high').waitFor({ state: 'attached' });
  await page.keyboard.press('Control+z');
  await page.keyboard.press('Control+Shift+z');
  await page.keyboard.press('Control+s');
  await page.getByText('Saved as two').waitFor({ state: 'attached' });
  expect((await stored('two')).panels.map(({ grid }) => grid)).toEqual([
    { x: 4, y: 0, w: 4, h: 5 },
    { x: 6, y: 5, w: 6, h: 4 },
  ]);
  await grip.focus();
  await page.keyboard.press('Delete');
  expect(await page.locator('.panel').count()).toBe(1);
  await press(page, 'Undo');
  expect(await page.locator('.panel').count()).toBe(2);
  await close();
});

test('who saves second is told, and may take theirs, overwrite, or keep both', async () => {
  const { page, close } = await open(browser, `${server.url}/d/two?edit`);
  const elsewhere = (title: string) =>
    fetch(`${server.url}/v1/dashboards/two`, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json', 'If-Match': '*' },
      body: JSON.stringify({ ...two, title }),
    });
  const remove = () => press(page, 'Remove B');
  await remove();
  await elsewhere('Theirs');
  await press(page, 'Save');
  await press(page, 'Take theirs');
  await page.getByRole('heading', { name: 'Theirs', exact: true }).waitFor();
  expect(await page.locator('.panel').count()).toBe(2);
  await remove();
  await elsewhere('Theirs again');
  await press(page, 'Save');
  await press(page, 'Save mine as a copy');
  await page.getByRole('dialog').getByLabel('Name').fill('two');
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').filter({ hasText: 'There is a dashboard two already' }).waitFor();
  await press(page, 'Cancel');
  await press(page, 'Save');
  await press(page, 'Overwrite theirs');
  await page.getByText('Saved as two').waitFor({ state: 'attached' });
  expect((await stored('two')).panels).toHaveLength(1);
  // Nothing is lost by leaving without a word.
  await press(page, 'Undo');
  await press(page, 'Done');
  await press(page, 'Keep editing');
  await press(page, 'Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.waitForURL(`${server.url}/`);
  expect((await fetch(`${server.url}/v1/dashboards/two`)).status).toBe(404);
  await close();
});

test('a dashboard goes out as a file and comes in again; what is none is told', async () => {
  const { page, close } = await open(browser, `${server.url}/d/two`);
  const [plain] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Export' }).click(),
  ]);
  expect(JSON.parse(readFileSync(await plain.path(), 'utf8'))).toEqual(two);
  await press(page, 'Edit');
  const [download] = await Promise.all([page.waitForEvent('download'), press(page, 'Export')]);
  // Firefox counts the files of its folder.
  expect(download.suggestedFilename()).toMatch(/^two(?:\(\d\))?\.json$/);
  const exported = JSON.parse(readFileSync(await download.path(), 'utf8'));
  expect(exported).toEqual(two);
  const file = join(folder, 'other.json');
  writeFileSync(
    file,
    JSON.stringify({ ...exported, title: 'From a file', panels: two.panels.slice(1) }),
  );
  await page.getByLabel('Import').setInputFiles(file);
  await page.getByRole('heading', { name: 'From a file' }).waitFor();
  expect(await page.locator('.panel').count()).toBe(1);
  writeFileSync(file, '{"title": "x", "panels": [{"id": "a", "kind": "cake", "select": "up"}]}');
  await page.getByLabel('Import').setInputFiles(file);
  await page.getByRole('alert').filter({ hasText: 'panel a is of no kind there is' }).waitFor();
  await page.getByRole('heading', { name: 'From a file' }).waitFor();
  await close();
});

test('the panel form is filled in with keys alone', async () => {
  const { page, close } = await open(browser, `${server.url}/d/two?edit`);
  const add = page.getByRole('button', { name: 'Add a panel' });
  await add.focus();
  await page.keyboard.press('Enter');
  // The first field has the focus.
  const selector = page.getByLabel('Selector');
  await expect.poll(() => selector.evaluate((field) => field.matches(':focus'))).toBe(true);
  await page.keyboard.type('requests');
  await page.keyboard.press('Tab');
  await page.keyboard.type('By keys');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  expect(await add.evaluate((button) => document.activeElement === button)).toBe(true);
  await panel(page, 'By keys').locator('canvas').waitFor();
  await page.keyboard.press('Control+s');
  await page.getByText('Saved as two').waitFor({ state: 'attached' });
  expect((await stored('two')).panels.at(-1)).toMatchObject({ title: 'By keys', id: 'by-keys' });
  await close();
});

test('an editor that was left before it came stays away', async () => {
  let come: () => void = () => {};
  const { page, failures, close } = await open(browser, `${server.url}/d/two`, {
    prepare: async (page) => {
      await page.route(/\/assets\/editor-[\w-]+\.js/, async (route) => {
        await new Promise<void>((resolve) => {
          come = resolve;
        });
        await route.continue();
      });
    },
  });
  await expectFreshness(page, 'Live');
  const edit = page.getByRole('button', { name: 'Edit', exact: true });
  const asked = page.waitForRequest(/\/assets\/editor-[\w-]+\.js/);
  await edit.click();
  await asked;
  await page.goBack();
  await page.getByRole('button', { name: 'Edit', exact: true }).waitFor();
  const came = page.waitForResponse(/\/assets\/editor-[\w-]+\.js/);
  come();
  const url = (await came).url();
  await page.evaluate(
    `import(${JSON.stringify(url)}).then(() => new Promise(requestAnimationFrame))`,
  );
  await page.waitForTimeout(300);
  expect(await page.getByRole('button', { name: 'Add a panel' }).count()).toBe(0);
  await edit.waitFor();
  expect(failures).toEqual([]);
  await close();
});
