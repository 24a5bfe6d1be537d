/** Compressed streams in a real browser: what is sent is seen at once, and not with what follows. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { launchFirefox } from './firefox.ts';
import { Server } from './server.ts';

let browser: Browser;
let firefox: Browser | null;
beforeAll(async () => {
  [browser, firefox] = await Promise.all([launch(), launchFirefox()]);
});
afterAll(async () => {
  await firefox?.close();
  await browser?.close();
});
afterEach(() => Server.stopAll());

interface Watching {
  seen: number[];
  ended: boolean;
  /** Why reading broke off, if it did: where the end of what is compressed isn't a good one. */
  failure: string;
}

/** Runs in the page: a stream by the browser's own means, noting down the values that it brings. */
function watch(transport: 'EventSource' | 'fetch'): void {
  const notes: Watching = { seen: [], ended: false, failure: '' };
  (window as unknown as { notes: Watching }).notes = notes;
  const take = (text: string): void => {
    const document = JSON.parse(text) as { type: string; points?: [number, number, number][] };
    notes.seen.push(...(document.points ?? []).map(([, , value]) => value));
    notes.ended ||= document.type === 'goaway';
  };
  const url = '/v1/stream?select=steps&merge=all&max_hz=20';
  if (transport === 'EventSource') {
    const source = new EventSource(url);
    source.onmessage = ({ data }) => take(data as string);
    return;
  }
  void (async () => {
    const answer = await fetch(url, { headers: { Accept: 'application/x-ndjson' } });
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop()!;
      for (const line of lines) take(line);
    }
  })().catch((error: unknown) => {
    notes.failure = String(error);
  });
}

async function openIn(name: string, url: string): Promise<Page> {
  const page = await (name === 'Firefox' ? firefox! : browser).newPage();
  await page.goto(url);
  return page;
}

/** What a stream's answer is compressed with, as the page is told. */
const CODING = `(async () => {
  const leaving = new AbortController();
  const answer = await fetch('/v1/stream', {
    headers: { Accept: 'text/event-stream' }, signal: leaving.signal });
  leaving.abort();
  return answer.headers.get('Content-Encoding');
})()`;

test.each([
  ['Chromium', 'EventSource'],
  ['Chromium', 'fetch'],
  ['Firefox', 'EventSource'],
  ['Firefox', 'fetch'],
] as const)('in %s %s over gzip shows each event at once', async (name, by) => {
  if (name === 'Firefox' && firefox === null) {
    return; // there is none here
  }
  const server = await Server.start();
  const tab = await openIn(name, `${server.url}/livez`);
  expect(await tab.evaluate(CODING)).toBe('gzip');
  await tab.evaluate(`(${watch})('${by}')`);
  const soon = { timeout: 30_000, interval: 20 };
  for (let value = 0; value < 10; value += 1) {
    // Nothing is sent behind it that could push it out: it is seen by itself, or never. Beside it
    // are enough others that it is worth compressing, and sometimes none.
    const others = value % 2 ? 60 : 0;
    await server.publish(
      ...Array.from({ length: others }, (_, n) => ({
        name: 'steps',
        labels: { n: `${n}` },
        value: -1,
      })),
      { name: 'steps', value },
    );
    await expect.poll(() => tab.evaluate(`window.notes.seen.includes(${value})`), soon).toBe(true);
  }
  await server.stop();
  await expect.poll(() => tab.evaluate('window.notes.ended'), soon).toBe(true);
  expect(await tab.evaluate('window.notes.failure')).toBe('');
  await tab.close();
});

test('the page and its scripts come compressed', async () => {
  const server = await Server.start();
  const page = await browser.newPage();
  const codings = new Map<string, string>();
  page.on('response', (response) => {
    const { 'content-encoding': coding, 'content-length': size } = response.headers();
    codings.set(new URL(response.url()).pathname, coding ?? `${size} bytes`);
  });
  await page.goto(server.url, { waitUntil: 'load' });
  const scripts = [...codings].filter(([path]) => path.startsWith('/assets/'));
  expect(scripts.length).toBeGreaterThan(1);
  for (const [path, coding] of scripts) {
    // What is this short isn't worth it.
    expect([path, coding]).toEqual([path, expect.stringMatching(/^br$|^\d{1,3} bytes$/)]);
  }
  expect(codings.get('/')).toMatch(/zstd|gzip/);
  await page.close();
});
