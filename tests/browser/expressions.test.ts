/** Panels of a dashboard that ask a question in PromQL, beside one that shows what is stored. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, open, panel, violations } from './browser.ts';
import { goLive, newFolder } from './live.ts';
import type { Server } from './server.ts';

let browser: Browser;
let server: Server;
/** The second value of job a; null while there is one only. */
let second: number | null = 2;
/** The value of a counter, which grows with each of its samples. */
let counted = 0;
let stop: () => Promise<void>;
const folder = newFolder();
const saved = join(folder, 'saved');
beforeAll(async () => {
  const panels = [
    { id: 'sum', title: 'Sum', kind: 'line', select: 'sum(load) by (job)' },
    { id: 'share', title: 'Share', kind: 'stat', select: 'sum(load{job="a"}) / sum(load)' },
    { id: 'pairs', title: 'Pairs', kind: 'line', select: 'load * on (job) load' },
    { id: 'stored', title: 'Stored', kind: 'line', select: 'load{job="a"}' },
  ];
  mkdirSync(saved);
  writeFileSync(join(folder, 'asked.json'), JSON.stringify({ title: 'Asked', panels }));
  ({ browser, server, stop } = await goLive({
    folder,
    environment: {
      PUSHSVC_DASHBOARDS_PROVISIONED: folder,
      PUSHSVC_DASHBOARDS_DIRECTORY: saved,
    },
    samples: () => {
      counted += 50;
      return [
        { name: 'load', labels: { job: 'a', n: '1' }, value: 1 },
        { name: 'load', labels: { job: 'a', n: '2' }, value: second },
        { name: 'load', labels: { job: 'b', n: '1' }, value: 9 },
        { name: 'asked_bytes_total', value: counted, kind: 'counter', unit: 'bytes' },
      ];
    },
  }));
});
afterAll(() => stop?.());

test('each panel shows its own results, in two tabs that share a stream', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/asked`);
  await expectFreshness(page, 'Live');
  const other = await page.context().newPage();
  await other.goto(page.url());
  for (const tab of [page, other]) {
    const sum = panel(tab, 'Sum');
    await sum.locator('canvas').waitFor();
    const legend = sum.locator('.legend');
    await expect.poll(() => legend.textContent()).toMatch(/a\s*3\s*b\s*9$/);
    await expect.poll(() => panel(tab, 'Share').textContent()).toContain('0.25');
    const stored = panel(tab, 'Stored').locator('.legend');
    await expect.poll(() => stored.textContent()).toMatch(/1\s*1\s*2\s*2$/);
  }
  await page.screenshot({ path: `${ARTIFACTS}/expressions.png` });
  await other.close();
  expect(failures).toEqual([]);
  await close();
});

test('a panel says why its expression has no result, until it has one again', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/asked`);
  await expectFreshness(page, 'Live');
  const pairs = panel(page, 'Pairs');
  await expect
    .poll(() => pairs.textContent(), { timeout: 30_000 })
    .toMatch(/has no result: .*many-to-many/s);
  await page.screenshot({ path: `${ARTIFACTS}/no-result.png` });
  second = null;
  await expect.poll(() => pairs.locator('canvas').count(), { timeout: 30_000 }).toBe(1);
  await expect.poll(() => pairs.textContent()).not.toContain('no result');
  second = 2;
  await expect
    .poll(() => pairs.locator('.about').textContent(), { timeout: 30_000 })
    .toMatch(/no result .*many-to-many/s);
  await page.screenshot({ path: `${ARTIFACTS}/no-result-any-more.png` });
  expect(failures).toEqual([]);
  await close();
});

test.each([
  ['light', 1280],
  ['dark', 390],
  ['forced', 1280],
] as const)('an expression is written with what may follow (%s, %i px)', async (look, width) => {
  const { page, failures, close } = await open(browser, `${server.url}/d/asked?edit`, {
    viewport: { width, height: 800 },
    colorScheme: look === 'dark' ? 'dark' : 'light',
    forcedColors: look === 'forced' ? 'active' : 'none',
  });
  await page.getByRole('button', { name: 'Add a panel' }).click();
  const dialog = page.getByRole('dialog');
  const field = dialog.getByRole('textbox', { name: 'Selector' });
  const list = dialog.getByRole('listbox', { name: 'Completions' });
  await expect.poll(() => field.evaluate((element) => element.matches(':focus'))).toBe(true);
  await page.keyboard.type('su');
  const sum = list.getByRole('option', { name: /^sum\s*aggregation/ });
  await sum.waitFor();
  await page.screenshot({ path: `${ARTIFACTS}/expression-functions-${look}.png` });
  expect(await violations(page, 'dialog')).toEqual([]);
  await sum.click();
  await page.keyboard.type('(loa');
  await list.getByRole('option', { name: 'load', exact: true }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  // What follows the selector is none of it.
  await page.keyboard.type(')');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.type('{jo');
  await list.getByRole('option', { name: 'job' }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect.poll(() => list.getByRole('option').allInnerTexts()).toEqual(['a', 'b']);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect.poll(() => field.innerText()).toBe('sum(load{job="a"})');
  await dialog.getByText('1 result now.').waitFor();
  await dialog.locator('.preview canvas').waitFor();
  // Labels are offered where results are told apart by them.
  await page.keyboard.press('End');
  await page.keyboard.type(' by (jo');
  await list.getByRole('option', { name: 'job' }).waitFor();
  // Escape closes what is offered, and not the dialog; Enter says what is wrong.
  await page.keyboard.press('Escape');
  await list.waitFor({ state: 'hidden' });
  expect(await dialog.isVisible()).toBe(true);
  await page.keyboard.press('Enter');
  await dialog.getByText(/This can’t be read at the end/).waitFor();
  await expect.poll(() => field.getAttribute('aria-invalid')).toBe('true');
  await dialog.locator('.cm-wrong').waitFor();
  await page.screenshot({ path: `${ARTIFACTS}/expression-wrong-${look}.png` });
  expect(await violations(page, 'dialog')).toEqual([]);
  await page.keyboard.type('b)');
  await dialog.getByText('1 result now.').waitFor();
  await expect.poll(() => field.getAttribute('aria-invalid')).toBe('false');
  expect(await dialog.locator('.cm-wrong').count()).toBe(0);
  // Tab leaves the field, whatever is offered there.
  await page.keyboard.press('Tab');
  await expect.poll(() => field.evaluate((element) => element.matches(':focus'))).toBe(false);
  await page.screenshot({ path: `${ARTIFACTS}/expression-written-${look}.png` });
  await dialog.getByLabel('Title').fill('Of a');
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  // On a phone it is further down than what is in sight.
  const drawn = async (): Promise<number> => {
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    return panel(page, 'Of a').locator('canvas').count();
  };
  await expect.poll(drawn, { timeout: 30_000 }).toBe(1);
  expect(failures).toEqual([]);
  await close();
});

const SUM = 'sum by (job) (load)';

test('what is typed as soon as the field for an expression is there stays in it', async () => {
  const { page, failures, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  await page.getByRole('searchbox').focus();
  // Sooner than the page has drawn the field.
  await page.evaluate(() => {
    const typing = new MutationObserver(() => {
      const inside = document.querySelector('.code > div')?.shadowRoot;
      if (inside?.activeElement) {
        typing.disconnect();
        document.execCommand('insertText', false, 'job) (load)');
      }
    });
    typing.observe(document.body, { childList: true, subtree: true });
  });
  await page.keyboard.type('sum by (');
  await page.getByText('2 results now.').waitFor();
  const field = page.getByRole('textbox', { name: 'Expression' });
  expect(await field.innerText()).toBe('sum by (job) (load)');
  expect(failures).toEqual([]);
  await close();
});

test.each([
  ['light', 390],
  ['dark', 1440],
] as const)(
  'an expression that is searched for is shown, and added to a dashboard (%s, %i px)',
  async (look, width) => {
    const { page, failures, close } = await open(browser, server.url, {
      viewport: { width, height: 900 },
      colorScheme: look,
      hasTouch: width < 500,
    });
    await expectFreshness(page, 'Live');
    const search = page.getByRole('searchbox');
    const field = page.getByRole('textbox', { name: 'Expression' });
    const drawn = page.locator('.expression .panel');
    const shot = (what: string) =>
      page.screenshot({ path: `${ARTIFACTS}/search-${what}-${look}-${width}.png` });
    await panel(page, 'load').locator('canvas').waitFor();
    await shot('overview');
    // A word is searched for in names.
    await page.keyboard.press('/');
    await page.keyboard.type('sum');
    await page.getByText('No panel matches “sum”').waitFor();
    expect(await field.count()).toBe(0);
    await shot('nothing');
    // As soon as it is an expression, it is written where there is room, and nothing of it is lost.
    await page.keyboard.type(SUM.slice(3), { delay: 20 });
    await expect.poll(() => field.innerText()).toBe(SUM);
    await expect.poll(() => field.evaluate((element) => element.matches(':focus'))).toBe(true);
    await page.getByText('2 results now.').waitFor();
    const legend = drawn.locator('.legend');
    await expect.poll(() => legend.textContent(), { timeout: 30_000 }).toMatch(/a\s*3\s*b\s*9$/);
    await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe(SUM);
    expect(await violations(page)).toEqual([]);
    await shot('expression');
    // What can't be read is said with its place, and what could be read last stays.
    await page.keyboard.type(' / ');
    await page.getByText(/This can’t be read at the end/).waitFor();
    await page.locator('.cm-wrong').waitFor();
    expect(await legend.count()).toBe(1);
    await page.keyboard.type('loa');
    await page.getByRole('option', { name: 'load', exact: true }).waitFor();
    await shot('wrong');
    for (let back = ' / loa'.length; back > 0; back -= 1) {
      await page.keyboard.press('Backspace');
    }
    await page.getByText('2 results now.').waitFor();
    // On to a dashboard, to a new one first.
    const add = page.getByRole('button', { name: 'Add to dashboard' });
    const dialog = page.getByRole('dialog', { name: 'Add to a dashboard' });
    const title = `Of ${width}`;
    await add.click();
    await dialog.getByRole('combobox', { name: /^Dashboard/ }).selectOption('A new one');
    await dialog.getByLabel('Title of the dashboard').fill(title);
    await shot('add');
    expect(await violations(page, 'dialog')).toEqual([]);
    await page.keyboard.press('Enter');
    await page.getByText(`Added to ${title}.`).waitFor();
    await add.click();
    await dialog.getByRole('combobox', { name: /^Dashboard/ }).selectOption(title);
    await dialog.getByLabel('Title of the panel').fill('Again');
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    await dialog.waitFor({ state: 'hidden' });
    await page.getByRole('link', { name: 'Open it' }).click();
    const again = panel(page, 'Again').locator('.legend');
    await expect.poll(() => again.textContent(), { timeout: 30_000 }).toMatch(/a\s*3\s*b\s*9$/);
    expect(await page.locator('.cell .panel').count()).toBe(2);
    await shot('added');
    // Back leads to the expression, and from there to all metrics.
    await page.goBack();
    await expect.poll(() => legend.textContent(), { timeout: 30_000 }).toMatch(/a\s*3\s*b\s*9$/);
    await page.getByRole('button', { name: 'Back to all metrics' }).click();
    await panel(page, 'load').locator('canvas').waitFor();
    await expect.poll(() => page.getByRole('article').count()).toBe(2);
    expect(await search.inputValue()).toBe('');
    expect(new URL(page.url()).searchParams.has('q')).toBe(false);
    await page.goBack();
    await expect.poll(() => field.innerText()).toBe(SUM);
    expect(failures).toEqual([]);
    await close();
  },
);

test('a search for an expression says why it has no result, and takes anything after =', async () => {
  const { page, failures, close } = await open(
    browser,
    `${server.url}/?q=${encodeURIComponent('load * on (job) load')}`,
  );
  const drawn = page.locator('.expression .panel');
  await expect
    .poll(() => drawn.textContent(), { timeout: 30_000 })
    .toMatch(/no result.*many-to-many/s);
  expect(await page.getByRole('searchbox').inputValue()).toBe('load * on (job) load');
  await page.screenshot({ path: `${ARTIFACTS}/search-failing.png` });
  await page.getByRole('searchbox').fill('load*2');
  await page.getByRole('button', { name: 'Ask it in PromQL' }).click();
  await page.getByText('3 results now.').waitFor();
  expect(await page.getByRole('searchbox').inputValue()).toBe('=load*2');
  await drawn.locator('canvas').waitFor();
  // Other keys of the page are none while it is written.
  await page.getByRole('textbox', { name: 'Expression' }).click();
  await page.keyboard.press('End');
  await page.keyboard.type('0');
  await expect.poll(() => drawn.locator('h3').textContent()).toBe('load * 20');
  expect(failures).toEqual([]);
  await close();
});

test('thresholds are for results as they are for series, in all kinds of panels', async () => {
  const kinds = ['line', 'area', 'stacked', 'stat', 'gauge', 'table'];
  await server.save('levels', {
    title: 'Levels',
    panels: kinds.map((kind, at) => ({
      id: kind,
      title: `As ${kind}`,
      kind,
      select: SUM,
      max: kind === 'gauge' ? 10 : undefined,
      thresholds: [
        { at: 2, level: 'warning' },
        { at: 5, level: 'critical' },
      ],
      grid: { x: (at % 3) * 4, y: 4 * Math.floor(at / 3), w: 4, h: 4 },
    })),
  });
  const { page, failures, close } = await open(browser, `${server.url}/d/levels`, {
    viewport: { width: 1440, height: 900 },
  });
  for (const kind of kinds) {
    const marks = panel(page, `As ${kind}`).locator('.mark');
    await expect
      .poll(
        () => marks.evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')).sort()),
        {
          timeout: 30_000,
        },
      )
      .toEqual(['critical', 'warning']);
  }
  await page.screenshot({ path: `${ARTIFACTS}/levels.png` });
  expect(failures).toEqual([]);
  await close();
});

test('of a counter the rate is offered, as an expression of the server’s', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/?q==asked_bytes_total`);
  const offer = page.getByRole('button', { name: 'Ask for the change per second' });
  const field = page.getByRole('textbox', { name: 'Expression' });
  await offer.waitFor();
  await page.screenshot({ path: `${ARTIFACTS}/search-counter.png` });
  expect(await violations(page)).toEqual([]);
  await offer.click();
  await expect.poll(() => field.innerText()).toMatch(/^rate\(asked_bytes_total\[(1m|\d+s)\]\)$/);
  await expect.poll(() => field.evaluate((element) => element.matches(':focus'))).toBe(true);
  await offer.waitFor({ state: 'hidden' });
  const drawn = page.locator('.expression .panel');
  await expect
    .poll(() => drawn.locator('h3').textContent(), { timeout: 30_000 })
    .toContain('rate(asked_bytes_total');
  await expect
    .poll(() => drawn.locator('.figure').textContent(), { timeout: 30_000 })
    .toMatch(/\d.*B\/s/);
  // It is one already, and no counter of which the page would make one.
  expect(await drawn.locator('.about').textContent()).not.toContain('per second');
  await page.screenshot({ path: `${ARTIFACTS}/search-rate.png` });
  // In a panel, over what the dashboard says of its samples.
  await page.goto(`${server.url}/d/asked?edit`);
  await page.getByRole('button', { name: 'Add a panel' }).click();
  const selector = page.getByRole('dialog').getByRole('textbox', { name: 'Selector' });
  await expect.poll(() => selector.evaluate((element) => element.matches(':focus'))).toBe(true);
  await page.keyboard.type('asked_bytes_total');
  await page.keyboard.press('Escape');
  await offer.click();
  await expect.poll(() => selector.innerText()).toBe('rate(asked_bytes_total[$__rate_interval])');
  await page.locator('.preview canvas').waitFor({ timeout: 30_000 });
  expect(failures).toEqual([]);
  await close();
});
