/** Figures, dials, heatmaps, timelines, tables: what each says, and that nothing on them jumps. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  ARTIFACTS,
  colouredPixels,
  expectFreshness,
  LONG,
  launch,
  noteShifts,
  open,
  panel,
  shiftsOf,
  violations,
} from './browser.ts';
import { Kinds, LONG_TITLE, MIXED } from './kinds.ts';

let browser: Browser;
let shown: Kinds;
beforeAll(async () => {
  [browser, shown] = await Promise.all([launch(), Kinds.start()]);
});
afterAll(async () => {
  await shown?.close();
  await browser?.close();
});

const kinds = (options = {}): ReturnType<typeof open> =>
  open(browser, `${shown.server.url}/d/kinds`, {
    viewport: { width: 1440, height: 1200 },
    ...options,
  });

async function settled(page: Page): Promise<void> {
  await expectFreshness(page, 'Live');
  await panel(page, 'Heat').locator('canvas').waitFor();
  await page.waitForTimeout(1200);
}

test('a dial has the colour of its threshold, shows them all, and fills its place', async () => {
  const { page, failures, close } = await kinds();
  await settled(page);
  const dial = (name: string) => panel(page, 'Load now').getByRole('meter', { name });
  const stroke = (name: string) =>
    dial(name)
      .locator('.reached')
      .evaluate((path) => getComputedStyle(path).stroke);
  const band = (level: string) =>
    dial('calm')
      .locator(`.band.${level}`)
      .evaluate((path) => getComputedStyle(path).stroke);
  expect(await stroke('busy')).toBe(await band('warning'));
  expect(await stroke('ill')).toBe(await band('critical'));
  expect(await stroke('calm')).not.toBe(await stroke('busy'));
  expect(await dial('busy').getAttribute('aria-valuetext')).toMatch(/^1\.\d+, warning$/);
  await page.screenshot({ path: `${ARTIFACTS}/kinds.png` });
  expect(failures).toEqual([]);
  expect(await violations(page)).toEqual([]);
  await close();
  const alone = await open(browser, `${shown.server.url}/d/kinds?panel=dial`, {
    viewport: { width: 900, height: 600 },
  });
  const meters = alone.page.getByRole('meter');
  await meters.first().waitFor();
  const boxes = await Promise.all((await meters.all()).map((meter) => meter.boundingBox()));
  const area = boxes.reduce((sum, box) => sum + box!.width * box!.height, 0);
  expect(area / (900 * 600)).toBeGreaterThan(0.6);
  await alone.page.screenshot({ path: `${ARTIFACTS}/dial-alone.png` });
  await alone.close();
});

test('of a small panel the title and the values are seen whole', async () => {
  const { page, failures, close } = await open(browser, `${shown.server.url}/d/small`, {
    viewport: { width: 1440, height: 600 },
  });
  await expectFreshness(page, 'Live');
  await expect.poll(() => page.locator(':is(.large, .dial)').count()).toBe(8);
  const cut = () =>
    page.locator('article.panel').evaluateAll((panels) =>
      panels.flatMap((article) => {
        const { top, bottom, left, right } = article.getBoundingClientRect();
        const parts = [...article.querySelectorAll('h3, .large, .dial')];
        const outside = parts.filter((part) => {
          const box = part.getBoundingClientRect();
          return (
            box.height < 14 ||
            box.top < top ||
            box.bottom > bottom + 1 ||
            box.left < left ||
            box.right > right + 1
          );
        });
        const scrolls = article.scrollHeight > article.clientHeight + 1;
        return [...outside.map(String), ...(scrolls ? ['scrolls'] : [])].map(
          (what) => `${article.querySelector('h3')!.textContent}: ${what}`,
        );
      }),
    );
  await expect.poll(cut).toEqual([]);
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: `${ARTIFACTS}/small.png` });
  expect(failures).toEqual([]);
  await close();
});

test('a panel alone has the names of its dials under them, clear of what leads back', async () => {
  const { page, failures, close } = await open(browser, `${shown.server.url}/d/kinds?panel=dial`);
  const dials = page.locator('.dials li');
  await dials.getByRole('meter').nth(2).waitFor();
  for (const [width, height] of [
    [390, 844],
    [768, 500],
    [1440, 900],
    [2560, 1440],
  ] as const) {
    await page.setViewportSize({ width, height });
    await page.mouse.move(width / 2, height / 2);
    await page.mouse.move(width / 2 + 5, height / 2);
    const way = page.locator('.leave');
    await way.waitFor();
    const { places, back } = await page.evaluate(() => {
      const box = (element: Element) => element.getBoundingClientRect();
      return {
        back: box(document.querySelector('.leave')!),
        places: [...document.querySelectorAll('.dials li')].map((item) => ({
          dial: box(item.querySelector('[role="meter"]')!),
          name: box(item.querySelector('.name')!),
        })),
      };
    });
    expect(places).toHaveLength(3);
    for (const { dial, name } of places) {
      const where = `${width}: ${JSON.stringify({ dial, name, back })}`;
      expect(name.top, where).toBeGreaterThanOrEqual(dial.bottom - 1);
      expect(name.bottom, where).toBeLessThanOrEqual(height);
      expect(Math.abs(name.left + name.right - dial.left - dial.right), where).toBeLessThan(4);
      // The name is as wide as its place: what of it is written is in the middle.
      const clear = name.bottom <= back.top || (name.left + name.right) / 2 + 60 < back.left;
      expect(clear, where).toBe(true);
    }
  }
  expect(failures).toEqual([]);
  await close();
});

test(
  'the tools of a panel cover no figure, however long, and are all within reach',
  LONG,
  async () => {
    const { page, failures, close } = await open(browser, `${shown.server.url}/d/rows`);
    for (const [path, width] of [
      ['d/rows', 768],
      ['d/rows', 1440],
      ['d/rows', 2560],
      ['', 768],
      ['', 1440],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.goto(`${shown.server.url}/${path}`);
      const figured = page.locator('article:has(.figure)').filter({ hasText: 'UTC' });
      await figured.first().waitFor();
      expect(await figured.count()).toBe(path === '' ? 1 : 4);
      for (const one of await figured.all()) {
        await one.scrollIntoViewIfNeeded();
        await one.hover({ position: { x: 30, y: 14 } });
        const wrong = await one.evaluate((article) => {
          const place = article.getBoundingClientRect();
          const written = document.createRange();
          written.selectNodeContents(article.querySelector('.figure')!);
          const figures = [...written.getClientRects()];
          return [...article.querySelectorAll('.fold > *')].flatMap((tool) => {
            const { left, right, top, bottom } = tool.getBoundingClientRect();
            const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            const over = figures.some(
              (one) => left < one.right && right > one.left && top < one.bottom && bottom > one.top,
            );
            return [
              over && 'over the figure',
              (left < place.left || right > place.right) && 'outside',
              !tool.contains(at) && `under ${at?.className}`,
            ].filter(Boolean);
          });
        });
        expect(wrong, `${path} ${width}`).toEqual([]);
      }
    }
    await page.screenshot({ path: `${ARTIFACTS}/tools.png` });
    expect(failures).toEqual([]);
    await close();
  },
);

test('a tooltip is beside its time, within the panel, at any width', async () => {
  const long = 'the longest name that anyone has given to one of the customers of this service';
  const wordy = () =>
    shown.server.publish(
      ...['one', 'two'].map((which) => ({
        name: 'wordy',
        labels: { customer: `${which}: ${long}` },
        value: Math.random() * 1e6,
        unit: 'bytes_per_second',
      })),
    );
  await wordy();
  const publishing = setInterval(() => void wordy().catch(() => {}), 500);
  const { page, failures, close } = await open(browser, `${shown.server.url}/?q=wordy&window=30s`);
  const chart = panel(page, 'wordy').locator('.chart');
  for (const width of [320, 390, 768, 1440]) {
    await page.setViewportSize({ width, height: 844 });
    const over = chart.locator('.over');
    await over.waitFor();
    await over.scrollIntoViewIfNeeded();
    for (const share of [0.02, 0.3, 0.48, 0.52, 0.7, 0.98]) {
      let placed: DOMRect[] | null = null;
      // Both go, and come again with the pointer, when the chart is drawn anew.
      await expect
        .poll(
          async () => {
            const box = (await over.boundingBox())!;
            await page.mouse.move(box.x + 1, box.y - 3);
            await page.mouse.move(box.x + share * box.width, box.y + box.height / 2);
            await chart.locator('.tip').waitFor();
            placed = await chart.evaluate((it) => {
              const parts = [
                it.querySelector('.tip'),
                it.querySelector('.crosshair'),
                it.closest('article'),
              ];
              return parts.includes(null)
                ? null
                : parts.map((one) => one!.getBoundingClientRect().toJSON() as DOMRect);
            });
            return placed !== null;
          },
          { timeout: 30_000 },
        )
        .toBe(true);
      const [tip, time, article] = placed as unknown as [DOMRect, DOMRect, DOMRect];
      const where = `${width} at ${share}: ${JSON.stringify({ tip, time, article })}`;
      expect(tip.left, where).toBeGreaterThanOrEqual(article.left);
      expect(tip.right, where).toBeLessThanOrEqual(article.right);
      expect(tip.right, where).toBeLessThanOrEqual(width);
      expect(tip.left > time.left || tip.right < time.left, where).toBe(true);
    }
    await page.screenshot({ path: `${ARTIFACTS}/tooltip-${width}.png` });
  }
  clearInterval(publishing);
  expect(failures).toEqual([]);
  await close();
});

test('a selection of several units says what is left out, and leads to all of it', async () => {
  const { page, close } = await kinds();
  await settled(page);
  const mixed = panel(page, 'Mixed');
  await mixed.getByText('3 of 4 matching series are shown').waitFor();
  await mixed.getByText('Not 1 gauge in timestamp_seconds.').waitFor();
  const link = mixed.getByRole('link', { name: /a panel for each metric/ });
  expect(await link.getAttribute('href')).toBe(`./?q=${encodeURIComponent(MIXED)}`);
  await close();
});

test('a heatmap says what its shades and its edges are, and a spike is no block', async () => {
  const { page, close } = await kinds();
  await settled(page);
  await panel(page, 'Heat').getByText('each cell: the mean, its upper edge the highest').waitFor();
  expect(await colouredPixels(page, 'Heat')).toBeGreaterThan(100);
  await close();
});

test('a timeline has times under it, and what was held under the pointer', async () => {
  const { page, close } = await kinds();
  await settled(page);
  const up = panel(page, 'Up');
  expect(await up.locator('.times span').count()).toBeGreaterThan(1);
  await up
    .locator('.track')
    .first()
    .hover({ position: { x: 400, y: 4 } });
  await up
    .getByText(/(true|false) since (at least )?\d\d:\d\d:\d\d/)
    .first()
    .waitFor();
  await up.locator('.looked').first().waitFor();
  await close();
});

test('a table is ranked, sorted by any column, and reached and scrolled by keyboard', async () => {
  const { page, close } = await kinds();
  await settled(page);
  const rows = panel(page, 'Rows');
  const column = async (at: number) =>
    (await rows.locator('tbody tr').allInnerTexts()).map((text) => Number(text.split('\t')[at]));
  expect(await rows.getByRole('columnheader', { name: 'last' }).getAttribute('aria-sort')).toBe(
    'descending',
  );
  await rows.getByRole('button', { name: 'series' }).click();
  expect(await column(0)).toEqual(Array.from({ length: 30 }, (_, row) => row));
  await rows.getByRole('button', { name: /series/ }).click();
  expect((await column(0))[0]).toBe(29);
  const scroller = rows.locator('.figures-table');
  await scroller.focus();
  await page.keyboard.press('End');
  await expect.poll(() => scroller.evaluate((node) => node.scrollTop)).toBeGreaterThan(0);
  await close();
});

/** What is seen in part where it ends: rows, and what is pressed, at the edge of what scrolls. */
function halves(page: Page): Promise<{ readonly scrolled: number; readonly cut: string[] }> {
  return page.evaluate(() => {
    const cut: string[] = [];
    let scrolled = 0;
    for (const scroller of document.querySelectorAll<HTMLElement>('article, article *')) {
      const { overflowY } = getComputedStyle(scroller);
      const { scrollHeight, clientHeight } = scroller;
      if (!/auto|scroll/.test(overflowY) || scrollHeight <= clientHeight + 1) {
        continue;
      }
      scrolled += 1;
      const edge = scroller.getBoundingClientRect().top + scroller.clientTop + clientHeight;
      for (const row of scroller.querySelectorAll('tr, li, button, .remark, canvas')) {
        const { top, bottom } = row.getBoundingClientRect();
        if (top < edge - 0.5 && bottom > edge + 0.5) {
          const title = scroller.closest('article')!.querySelector('h3')!.textContent;
          cut.push(`${title}: ${scroller.className} cuts ${row.tagName} ${row.textContent}`);
        }
      }
    }
    return { scrolled, cut };
  });
}

test('what is seen of rows ends with a row, at any size, and no button lies over one', async () => {
  const { page, failures, close } = await open(browser, `${shown.server.url}/d/rows`);
  await panel(page, 'timeline 6').getByRole('button', { name: '9 more' }).waitFor();
  const session = await page.context().newCDPSession(page);
  // As a browser's zoom does: fewer pixels, each of them larger.
  for (const [width, ratio] of [
    [390, 3],
    [768, 1],
    [960, 1.5],
    [1152, 1.25],
    [1440, 1],
    [1600, 1.1],
    [2560, 2],
  ] as const) {
    await session.send('Emulation.setDeviceMetricsOverride', {
      width,
      height: 900,
      deviceScaleFactor: ratio,
      mobile: false,
    });
    await expect.poll(async () => (await halves(page)).cut, { message: `${width}` }).toEqual([]);
    expect((await halves(page)).scrolled, `${width}`).toBeGreaterThan(4);
  }
  const rows = panel(page, 'line 4').locator('.rows');
  await panel(page, 'line 4').getByRole('button', { name: '22 more' }).click();
  await expect.poll(() => rows.getByRole('listitem').count()).toBe(30);
  await expect.poll(async () => (await halves(page)).cut).toEqual([]);
  // No part of a row is under anything else.
  const covered = await rows.locator('ul').evaluate((list) => {
    const edge = list.getBoundingClientRect().bottom;
    return [...list.querySelectorAll('button')].filter((row) => {
      const { left, top, bottom } = row.getBoundingClientRect();
      const seen = [top + 2, bottom - 2].map((y) => document.elementFromPoint(left + 2, y));
      return bottom <= edge + 0.5 && !seen.every((at) => row.contains(at));
    }).length;
  });
  expect(covered).toBe(0);
  await page.screenshot({ path: `${ARTIFACTS}/rows.png` });
  expect(failures).toEqual([]);
  await close();
});

test('a bar below a table that is wider than its panel is beside its rows, not over one', async () => {
  const barred = await launch([], {}, ['--hide-scrollbars']);
  const { page, close } = await open(barred, `${shown.server.url}/d/rows`);
  const table = panel(page, 'table 4').locator('.figures-table');
  await table.getByRole('row').nth(20).waitFor();
  const bar = () => table.evaluate((node: HTMLElement) => node.offsetHeight - node.clientHeight);
  expect(await bar()).toBe(0);
  await panel(page, 'table 4').evaluate((node) => {
    node.style.width = '9rem';
  });
  await expect.poll(bar).toBeGreaterThan(5);
  await expect.poll(async () => (await halves(page)).cut).toEqual([]);
  await page.screenshot({ path: `${ARTIFACTS}/rows-bar.png` });
  await close();
  await barred.close();
});

test.each(['none', 'active'] as const)(
  'a table with more rows says so until the last is seen (forced colours: %s)',
  async (forcedColors) => {
    const { page, close } = await open(browser, `${shown.server.url}/d/rows`, { forcedColors });
    const table = panel(page, 'table 3').locator('.figures-table');
    await table.getByRole('row').nth(20).waitFor();
    await table.scrollIntoViewIfNeeded();
    /** How dark the ground is at the lower edge, between two columns. */
    const shade = async () => {
      const { x, y, width, height } = (await table.boundingBox())!;
      const clip = { x: x + width / 4, y: y + height - 3, width: 4, height: 2 };
      const png = (await page.screenshot({ clip })).toString('base64');
      return page.evaluate(async (data) => {
        const image = new Image();
        image.src = `data:image/png;base64,${data}`;
        await image.decode();
        const canvas = document.createElement('canvas').getContext('2d')!;
        canvas.drawImage(image, 0, 0);
        return canvas.getImageData(0, 0, 1, 1).data[0]!;
      }, png);
    };
    await table.evaluate((node) => node.scrollTo(0, node.scrollHeight));
    await expect.poll(async () => [0, 255].includes(await shade())).toBe(true);
    const ground = await shade();
    await table.evaluate((node) => node.scrollTo(0, 0));
    await expect.poll(async () => Math.abs((await shade()) - ground)).toBeGreaterThan(10);
    await close();
  },
);

test('a long title takes two lines and leaves the chart its place; a moment is written as one', async () => {
  const { page, close } = await kinds();
  await settled(page);
  const long = panel(page, LONG_TITLE);
  const box = (await long.boundingBox())!;
  const chart = (await long.locator('canvas').boundingBox())!;
  expect(chart.y + chart.height).toBeLessThanOrEqual(box.y + box.height);
  expect(chart.height).toBeGreaterThan(40);
  const title = long.getByRole('heading');
  const before = (await title.boundingBox())!.height;
  await title.click();
  await expect.poll(async () => (await title.boundingBox())!.height).toBeGreaterThan(before);
  await panel(page, 'Started')
    .getByText(/14 Nov 2023.*UTC/)
    .first()
    .waitFor();
  await close();
});

async function expectStillness(width: number, path: string): Promise<void> {
  const { page, close } = await open(browser, shown.server.url + path, {
    viewport: { width, height: 900 },
    init: noteShifts,
  });
  await expectFreshness(page, 'Live');
  await page.waitForTimeout(12_000);
  const [sum, which] = await shiftsOf(page);
  await page.screenshot({ path: `${ARTIFACTS}/still-${width}${path.replaceAll('/', '-')}.png` });
  expect(sum, which).toBeLessThanOrEqual(0.02);
  await close();
}

test('nothing jumps within some seconds on a phone', () => expectStillness(390, '/d/kinds'));

test.each([
  [390, '/'],
  [1440, '/d/kinds'],
  [1440, '/'],
] as const)('nothing jumps within some seconds at %d px on %s', LONG, expectStillness);

test('with forced colours states, scales and marks are seen', async () => {
  const { page, close } = await kinds({ forcedColors: 'active' });
  await settled(page);
  const ground = (selector: string) =>
    page
      .locator(selector)
      .first()
      .evaluate((node) => {
        const { backgroundColor, backgroundImage } = getComputedStyle(node);
        return `${backgroundColor} ${backgroundImage}`;
      });
  const canvas = await ground('body');
  for (const selector of ['.states .track span', '.shades .ramp', '.connection .dot']) {
    expect(await ground(selector)).not.toBe(canvas);
    expect(
      await page
        .locator(selector)
        .first()
        .evaluate((node) => getComputedStyle(node).forcedColorAdjust),
    ).toBe('none');
  }
  await page.screenshot({ path: `${ARTIFACTS}/forced.png` });
  await close();
});
