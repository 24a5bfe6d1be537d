/** What strangers have named: nothing on the page shows it in another order, or not at all. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, launch, open } from './browser.ts';
import { Server } from './server.ts';

/** Turns what follows, and is no letter. */
const EVIL = 'x\u202e\u0007\u2066y';

const KEPT = {
  title: `kept ${EVIL}`,
  description: `described ${EVIL}`,
  window: '5m',
  variables: [{ name: 'host', label: `variable ${EVIL}`, select: 'evil' }],
  panels: ['line', 'table', 'stat', 'gauge', 'heatmap'].map((kind, index) => ({
    id: kind,
    title: `${kind} ${EVIL}`,
    kind,
    select: 'evil',
    grid: { x: (index % 2) * 6, y: Math.floor(index / 2) * 4, w: 6, h: 4 },
  })),
};

let browser: Browser;
let server: Server;
let publishing: ReturnType<typeof setInterval>;
const folder = mkdtempSync(join(tmpdir(), 'pushsvc-dashboards-'));
beforeAll(async () => {
  writeFileSync(join(folder, 'kept.json'), JSON.stringify(KEPT));
  [browser, server] = await Promise.all([
    launch(),
    Server.start('serve', 0, { PUSHSVC_DASHBOARDS_DIRECTORY: folder }),
  ]);
  const publish = () =>
    server.publish(
      { name: 'evil', labels: { host: `1 ${EVIL}` }, value: 1, unit: EVIL, help: `h ${EVIL}` },
      { name: 'evil', labels: { host: `2 ${EVIL}` }, value: 2 },
      { name: `named ${EVIL}`, labels: { [`label ${EVIL}`]: EVIL }, value: 3 },
      { name: 'told', labels: { of: EVIL }, value: `state ${EVIL}`, kind: 'state' },
    );
  await publish();
  publishing = setInterval(() => void publish().catch(() => {}), 250);
});
afterAll(async () => {
  clearInterval(publishing);
  await browser?.close();
  await Server.stopAll();
  rmSync(folder, { recursive: true });
});

/** All that the page shows or tells that has such a character in it. */
function unescaped(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const unsafe =
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
      /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
    const found: string[] = unsafe.test(document.title) ? [`title: ${document.title}`] : [];
    for (const element of document.querySelectorAll('*')) {
      for (const { name, value } of element.attributes) {
        const shown = /^(title|alt|label|placeholder|aria-(label|valuetext|description))$/;
        if (shown.test(name) && unsafe.test(value)) {
          found.push(`${element.tagName} ${name}: ${value}`);
        }
      }
      for (const node of element.childNodes) {
        if (node.nodeType === Node.TEXT_NODE && unsafe.test(node.nodeValue!)) {
          found.push(`${element.tagName}: ${node.nodeValue}`);
        }
      }
    }
    return found;
  });
}

const ESCAPED = 'x\\u202e\\u0007\\u2066y';

test('in all metrics, their tooltips, legends, states and values', async () => {
  const { page, failures, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  await page.getByRole('heading', { name: `named ${ESCAPED}` }).waitFor();
  await page.getByText(`state ${ESCAPED}`).first().waitFor();
  expect(await unescaped(page)).toEqual([]);
  await page.locator('.over').first().hover();
  await page.locator('.tip').first().waitFor();
  expect(await unescaped(page)).toEqual([]);
  await page.screenshot({ path: `${ARTIFACTS}/strangers.png` });
  expect(failures).toEqual([]);
  await close();
});

test('on a dashboard that is kept, its title, and in its editor', async () => {
  const { page, failures, close } = await open(browser, `${server.url}/d/kept`);
  await expectFreshness(page, 'Live');
  await page.getByRole('heading', { name: `kept ${ESCAPED}` }).waitFor();
  await expect.poll(() => page.title()).toContain(`kept ${ESCAPED}`);
  expect(await unescaped(page)).toEqual([]);
  await page.goto(`${server.url}/d/kept?edit`);
  await page.getByRole('toolbar', { name: 'Editing' }).waitFor();
  expect(await unescaped(page)).toEqual([]);
  expect(failures).toEqual([]);
  await close();
});

test('in what the page says of a filter', async () => {
  const { page, close } = await open(browser, server.url);
  await expectFreshness(page, 'Live');
  const filter = page.getByRole('searchbox').or(page.getByLabel(/Filter panels/));
  await filter.first().fill(EVIL.repeat(2));
  expect(await unescaped(page)).toEqual([]);
  await close();
});
