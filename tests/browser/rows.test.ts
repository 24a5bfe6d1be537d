/** Rows that fold, and panels that are there for each value of a variable. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { open, panel } from './browser.ts';
import { goLive, type Live, newFolder } from './live.ts';

const place = (x: number, y: number, w: number, h: number) => ({ x, y, w, h });

let live: Live;
beforeAll(async () => {
  const folder = newFolder();
  live = await goLive({
    folder,
    environment: { PUSHSVC_DASHBOARDS_DIRECTORY: folder },
    samples: () =>
      ['a', 'b'].map((host) => ({ name: 'load', labels: { host }, value: host === 'a' ? 1 : 3 })),
  });
  const saved = await live.server.save('rows', {
    title: 'Rows',
    variables: [{ name: 'host', label: 'host', select: 'load', all: true, default: ['$__all'] }],
    panels: [
      {
        id: 'each',
        kind: 'stat',
        title: 'Load of $host',
        select: 'load{host="$host"}',
        repeat: 'host',
        grid: place(0, 0, 6, 3),
      },
      { id: 'r', kind: 'row', title: 'Shares', collapsed: true, grid: place(0, 3, 12, 1) },
      {
        id: 'pie',
        kind: 'pie',
        title: 'Pie',
        select: 'load',
        data_links: [{ title: 'Of {{host}}', url: 'd/rows?var-host={{host}}' }],
        grid: place(0, 4, 6, 4),
      },
      { id: 's', kind: 'row', title: 'Last', grid: place(0, 8, 12, 1) },
      { id: 'bars', kind: 'bars', title: 'Bars', select: 'load', grid: place(0, 9, 6, 4) },
    ],
  });
  expect(saved).toBe(201);
});
afterAll(() => live.stop());

test('a row folds by keyboard, and is as one left it', async () => {
  const { page, failures, close } = await open(live.browser, `${live.server.url}/d/rows`);
  await panel(page, 'Load of a').waitFor();
  await panel(page, 'Load of b').waitFor();
  const row = page.getByRole('button', { name: 'Shares' });
  await expect.poll(() => row.getAttribute('aria-expanded')).toBe('false');
  expect(await panel(page, 'Pie').count()).toBe(0);
  const top = async () => (await panel(page, 'Bars').boundingBox())!.y;
  const before = await top();
  await row.focus();
  await page.keyboard.press('Enter');
  await panel(page, 'Pie').getByText('75').waitFor();
  expect(await row.getAttribute('aria-expanded')).toBe('true');
  expect(await top()).toBeGreaterThan(before);
  const link = panel(page, 'Pie').getByRole('link', { name: 'Of b' });
  expect(await link.getAttribute('href')).toBe(`${live.server.url}/d/rows?var-host=b`);
  await page.reload();
  await panel(page, 'Pie').waitFor();
  await page.getByRole('button', { name: 'Shares' }).press('Space');
  await panel(page, 'Pie').waitFor({ state: 'detached' });
  expect(failures).toEqual([]);
  await close();
});
