/**
 * A real Chromium: `PUSHSVC_CHROMIUM`, one that the system has, or the one in the npm package; or
 * Firefox, for tests that are run in it as well.
 */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from 'playwright-core';
import { expect } from 'vitest';
import { launchFirefox } from './firefox.ts';
import { packagedChromium } from './packaged.ts';
import { findChromium } from './programs.ts';

/** Where screenshots go, to be looked at. */
export const ARTIFACTS = fileURLToPath(new URL('../../artifacts', import.meta.url));
mkdirSync(ARTIFACTS, { recursive: true });

/** A name that leads to this machine, without being a name of it. */
export const ELSEWHERE = 'dash.example';

/** Whether the tests are run in Firefox: the project `firefox` has them do so. */
export const IN_FIREFOX = process.env.TESTED_BROWSER === 'firefox';

/**
 * A browser with its own temporary directory; `close` ends both. More arguments and environment are
 * what a test of Chromium wants of its own; `less` are arguments that it doesn't want.
 */
export async function launch(
  more: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
  less: readonly string[] = [],
): Promise<Browser> {
  return IN_FIREFOX ? (await launchFirefox())! : launchChromium(more, environment, less);
}

async function launchChromium(
  more: readonly string[],
  environment: Readonly<Record<string, string>>,
  less: readonly string[],
): Promise<Browser> {
  const scratch = mkdtempSync(join(tmpdir(), 'pushsvc-browser-'));
  const found = findChromium();
  const { path, environment: its } =
    found === null ? packagedChromium() : { path: found, environment: {} };
  const browser = await chromium.launch({
    executablePath: path,
    args: [
      '--no-sandbox',
      '--headless=shell',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      // A page that isn't of this machine, as its name goes.
      `--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`,
      ...more,
    ],
    ignoreDefaultArgs: [...less],
    env: { ...process.env, ...its, ...environment, TMPDIR: scratch } as Record<string, string>,
  });
  browser.on('disconnected', () => rmSync(scratch, { recursive: true, force: true }));
  return browser;
}

/** Of a test that takes long by its nature: left to `make test-long`. */
export const LONG = { tags: ['long'] };

/**
 * Firefox tells of WebSockets that can't be opened as it does of errors, and has Playwright's own
 * style for screenshots forbidden by the page's policy.
 */
const NO_FAILURE =
  /can’t establish a connection to the server at ws|was interrupted while|sha256-YjaKGiklmzC6wjXA513HAMmzus8VE61XCOT\+SmwNZWA=/;

/** Before the test's own end, so that a hang is told with the line that waited. */
const PATIENCE_MS = 20_000;

/** Pages that are open, with what each said: what is told of a test that failed. */
export const opened: Map<Page, string[]> = new Map();

/** A page that has failed as soon as a script on it has: see `failures`. */
export interface Watched {
  readonly page: Page;
  /** Uncaught errors, and what the browser refused to do by policy. */
  readonly failures: string[];
  close(): Promise<void>;
}

export async function open(
  browser: Browser,
  url: string,
  options: BrowserContextOptions & {
    readonly init?: () => void;
    readonly prepare?: (page: Page) => Promise<void>;
  } = {},
): Promise<Watched> {
  const { init, prepare, ...rest } = options;
  // The locale of a bare host is none that JavaScript knows.
  const context = await browser.newContext({ locale: 'en-GB', ...rest });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const failures: string[] = [];
  const said: string[] = [];
  opened.set(page, said);
  page.once('close', () => opened.delete(page));
  page.on('pageerror', (error) => {
    said.push(String(error));
    if (!IN_FIREFOX || !NO_FAILURE.test(String(error))) {
      failures.push(String(error));
    }
  });
  page.on('console', (message) => {
    said.push(`${message.type()}: ${message.text()}`);
    if (/Content Security Policy/.test(message.text())) {
      failures.push(message.text());
    }
  });
  if (init !== undefined) {
    await page.addInitScript(init);
  }
  await prepare?.(page);
  await page.goto(url);
  return { page, failures, close: () => context.close() };
}

/** To be run before a page's own scripts: have what moves by itself be noted, for `shiftsOf`. */
export function noteShifts(): void {
  const shifts: [number, ...string[]][] = [];
  Object.assign(window, { shifts });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as unknown as {
      value: number;
      hadRecentInput: boolean;
      sources: { node: Element | null }[];
    }[]) {
      if (!entry.hadRecentInput) {
        shifts.push([
          entry.value,
          ...entry.sources.map(({ node }) => `${node?.nodeName} ${node?.className}`),
        ]);
      }
    }
  }).observe({ type: 'layout-shift', buffered: true });
}

/** How far things moved by themselves, all together (CLS, but for its windows), and which. */
export async function shiftsOf(page: Page): Promise<readonly [sum: number, which: string]> {
  const shifts = (await page.evaluate('shifts')) as [number, ...string[]][];
  const worth = shifts.filter(([value]) => value > 0.001);
  return [shifts.reduce((total, [value]) => total + value, 0), JSON.stringify(worth)];
}

/** Points of a series as the page stores them. */
export function points(
  page: Page,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<[number, unknown][]> {
  return page.evaluate(
    ([name, labels]) => window.__pushsvc!.points(name, labels) as [number, unknown][],
    [name, labels] as const,
  );
}

/** A panel by its title. */
export function panel(page: Page, name: string): Locator {
  return page.getByRole('article', { name, exact: true });
}

/** Rules of axe that aren't asked unless they are named: of WCAG 2.2, and those that are tried out. */
const NAMED = [
  'target-size',
  'css-orientation-lock',
  'hidden-content',
  'label-content-name-mismatch',
  'p-as-heading',
  'table-fake-caption',
  'td-has-header',
];

/**
 * What axe finds in a page, or in a part of it, by all its rules but those of WCAG's level AAA. It is
 * asked in Chromium alone: the page it opens for its results ends a process of Debian's Firefox.
 */
export async function violations(page: Page, part?: string): Promise<unknown[]> {
  if (IN_FIREFOX) {
    return [];
  }
  const axe = new AxeBuilder({ page }).options({
    rules: Object.fromEntries(NAMED.map((rule) => [rule, { enabled: true }])),
  });
  const { violations: found } = await (part === undefined ? axe : axe.include(part)).analyze();
  return found.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 300))]);
}

export async function expectFreshness(page: Page, word: string, timeout = 30_000): Promise<void> {
  await expect
    .poll(() => page.locator('.connection strong').textContent(), { timeout, interval: 50 })
    .toBe(word);
}

/** How many pixels of a panel's chart have a colour of their own: lines, not grid or text. */
export function colouredPixels(page: Page, title: string): Promise<number> {
  return page
    .locator('.panel', { has: page.getByRole('heading', { name: title, exact: true }) })
    .locator('canvas')
    .evaluate((node) => {
      const canvas = node as HTMLCanvasElement;
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      let coloured = 0;
      for (let at = 0; at < data.length; at += 4) {
        const [red, green, blue, alpha] = data.subarray(at, at + 4) as unknown as number[];
        const spread = Math.max(red!, green!, blue!) - Math.min(red!, green!, blue!);
        coloured += alpha! > 128 && spread > 60 ? 1 : 0;
      }
      return coloured;
    });
}
