/** Compressed streams in a real browser: what is sent is seen at once, and not with what follows. */

import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { Server } from './server.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());
afterEach(() => Server.stopAll());

interface Watching {
  seen: number[];
  ended: boolean;
}

/** Runs in the page: a stream by the browser's own means, noting down the values that it brings. */
function watch(transport: 'EventSource' | 'fetch'): void {
  const notes: Watching = { seen: [], ended: false };
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
      // It throws where the end of what is compressed isn't a good one.
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop()!;
      for (const line of lines) take(line);
    }
  })();
}

test.each(['EventSource', 'fetch'] as const)(
  '%s over gzip shows each event at once',
  async (by) => {
    const server = await Server.start();
    const page = await browser.newPage();
    const failures: string[] = [];
    page.on('pageerror', (error) => failures.push(String(error)));
    await page.goto(`${server.url}/livez`);
    const answered = page.waitForResponse((one) => one.url().includes('/v1/stream'));
    await page.evaluate(watch, by);
    expect((await answered).headers()['content-encoding']).toBe('gzip');
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
      await page.waitForFunction(
        (value) => (window as unknown as { notes: Watching }).notes.seen.includes(value),
        value,
        { timeout: 5_000 },
      );
    }
    await server.stop();
    await page.waitForFunction(() => (window as unknown as { notes: Watching }).notes.ended);
    expect(failures).toEqual([]);
    await page.close();
  },
);

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
