/** A browser's own EventSource: any status but 200 ends it for good, and so it must meet none. */

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LONG, launch } from './browser.ts';
import { launchFirefox } from './firefox.ts';
import { ROOT, Server } from './server.ts';

const SECRET = 'a secret of more than thirty-two bytes';
const CLOSED = 2;
const [EXAMPLE] = readFileSync(`${ROOT}/docs/watching.md`, 'utf8').match(
  /(?<=```js\n)const query = .*?ticket=.*?(?=```)/s,
)!;
/** Four streams are told to go over some seconds: the first comes back while the drain goes on. */
const PACED = {
  PUSHSVC_STREAM_RECONNECTS_PER_SECOND: '1',
  PUSHSVC_SERVER_DRAIN_TIMEOUT: '4',
};
const SOON = { timeout: 20_000, interval: 100 };

let chromium: Browser;
let firefox: Browser | null;
beforeAll(async () => {
  [chromium, firefox] = await Promise.all([launch(), launchFirefox()]);
});
afterAll(async () => {
  await firefox?.close();
  await chromium?.close();
});
afterEach(() => Server.stopAll());

async function openIn(name: string, url: string): Promise<Page> {
  const page = await (name === 'Firefox' ? firefox! : chromium).newPage();
  await page.goto(url);
  return page;
}

/** Opens streams as the documentation does, and notes what comes of each. */
class Streams {
  private readonly tab: Page;

  constructor(tab: Page) {
    this.tab = tab;
  }

  async open(query: string): Promise<void> {
    await this.tab.evaluate(`{
      const stream = new EventSource(${JSON.stringify(`/v1/stream?${query}`)});
      const one = { stream, documents: [] };
      (window.streams ??= []).push(one);
      stream.onmessage = (event) => { one.documents.push(JSON.parse(event.data)); };
    }`);
  }

  close(index: number): Promise<void> {
    return this.tab.evaluate(`window.streams[${index}].stream.close()`);
  }

  /** What came, of each stream: the values of points, and of other documents the type. */
  async seen(): Promise<string[][]> {
    const text = await this.tab.evaluate<string>(`JSON.stringify(window.streams.map(
      ({ documents }) => documents.flatMap(({ type, points, code }) =>
        points?.map((point) => String(point[2])) ?? [code ?? type])))`);
    return JSON.parse(text) as string[][];
  }

  /** Those that will never ask again. */
  async dead(): Promise<number> {
    return this.tab.evaluate<number>(
      `window.streams.filter(({ stream }) => stream.readyState === ${CLOSED}).length`,
    );
  }

  async expectAll(value: string): Promise<void> {
    await expect
      .poll(async () => (await this.seen()).every((values) => values.includes(value)), SOON)
      .toBe(true);
    expect(await this.dead()).toBe(0);
  }
}

describe.each(['Chromium', 'Firefox'])('an EventSource in %s', (name) => {
  const tried = (what: string, often: string, run: () => Promise<void>): void => {
    test(what, often === name ? {} : LONG, async ({ skip }) => {
      skip(name === 'Firefox' && firefox === null, 'there is no Firefox here');
      await run();
    });
  };

  tried('survives restarts whose drain is longer than its wait', 'neither', async () => {
    let server = await Server.start('serve', 0, PACED);
    const { port } = server;
    const tab = await openIn(name, `${server.url}/livez`);
    const streams = new Streams(tab);
    await server.publish({ name: 'room_celsius', value: 20 });
    for (let count = 0; count < 4; count += 1) {
      await streams.open('select=room_celsius&window=15m');
    }
    await streams.expectAll('20');
    for (const value of [21, 22]) {
      await server.stop();
      server = await Server.start('serve', port, PACED);
      await server.publish({ name: 'room_celsius', value });
      await streams.expectAll(String(value));
    }
    const seen = await streams.seen();
    for (const documents of seen) {
      // Of what the former server had, nobody knows how much is missing.
      expect(documents.filter((what) => what === 'gap')).toHaveLength(2);
    }
    const goodbyes = seen.flat().filter((what) => what === 'goaway');
    expect(goodbyes.length).toBeGreaterThan(2 * 4);
    await tab.close();
  });

  tried('gets into a server that was full', '', async () => {
    const server = await Server.start('serve', 0, { PUSHSVC_LIMITS_SUBSCRIBERS: '1' });
    const tab = await openIn(name, `${server.url}/livez`);
    const streams = new Streams(tab);
    await streams.open('select=a');
    await expect.poll(() => streams.seen(), SOON).toEqual([['hello']]);
    await streams.open('select=a');
    await expect
      .poll(async () => (await streams.seen())[1], SOON)
      .toEqual(['subscribers', 'goaway']);
    await streams.close(0);
    await expect.poll(async () => (await streams.seen())[1], SOON).toContain('hello');
    await tab.close();
  });

  tried('comes back with its ticket, also after restarts', 'Firefox', async () => {
    const locked = {
      PUSHSVC_AUTH_MODE: 'jwt',
      PUSHSVC_AUTH_SECRET: SECRET,
      PUSHSVC_AUTH_SESSION_SECRET: SECRET,
    };
    let server = await Server.start('serve', 0, locked);
    const { port } = server;
    const tab = await openIn(name, `${server.url}/livez`);
    const streams = new Streams(tab);
    // As the documentation has it.
    await tab.evaluate(`(async () => {
      const token = ${JSON.stringify(token())};
      ${EXAMPLE}
      const one = { stream, documents: [] };
      window.streams = [one];
      stream.onmessage = (event) => { one.documents.push(JSON.parse(event.data)); };
    })()`);
    for (let count = 1; count < 4; count += 1) {
      await expect
        .poll(
          async () => (await streams.seen())[0]!.filter((what) => what === 'hello').length,
          SOON,
        )
        .toBe(count);
      await server.stop();
      server = await Server.start('serve', port, locked);
    }
    expect(await streams.dead()).toBe(0);
    await tab.close();
  });
});

test.each(['README.md', 'docs/watching.md'])('the example of %s shows what comes', async (name) => {
  const [, example] = /```js\n(const stream = new EventSource[\s\S]*?)```/.exec(
    readFileSync(`${ROOT}/${name}`, 'utf8'),
  )!;
  const server = await Server.start();
  const tab = await openIn('Chromium', `${server.url}/livez`);
  const said: string[] = [];
  tab.on('console', async (message) => {
    said.push(JSON.stringify(await message.args()[0]?.jsonValue()));
  });
  await tab.evaluate(example!);
  await server.publish({ name: 'room_celsius', value: 21.5 });
  await expect.poll(() => said.join('\n'), SOON).toContain('"points"');
  expect(said[0]).toContain('"hello"');
  await tab.close();
});

function token(): string {
  const claims = {
    sub: 'wall',
    exp: Math.floor(Date.now() / 1000) + 600,
    pushsvc: { read: ['room_celsius'] },
  };
  const signed = [{ alg: 'HS256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}
