/** The client library in a real browser: one script that a page loads, and nothing else. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { LONG, launch } from './browser.ts';
import { Middlebox } from './middlebox.ts';
import { Server } from './server.ts';

let browser: Browser;
let server: Server;
let context: BrowserContext;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  server = await Server.start();
  context = await browser.newContext({ locale: 'en-GB' });
});
afterEach(async () => {
  await context?.close();
  await Server.stopAll();
});

const PAGE = fileURLToPath(new URL('../../docs/browser.md', import.meta.url));

const COMPILER = fileURLToPath(
  new URL('../../web/node_modules/typescript/bin/tsc', import.meta.url),
);

/** What a page with the client on it notes down. */
interface Notes {
  points: [number, number][];
  gaps: (number | null)[];
  transports: string[];
  status: { phase: string; transport: string | null; roundTrip: number | null; lag: number | null };
}

/** As much of the client as these pages use of it. */
interface Connected {
  subscribe(selector: string, options: object): object;
}

/** How many WebSockets each page has opened: only a tab that leads has one. */
const sockets = new WeakMap<Page, number>();

/** A page of this origin with nothing on it but the client, watching `steps`. */
async function watch(origin: string, options: Record<string, unknown> = {}): Promise<Page> {
  const page = await context.newPage();
  page.on('websocket', () => sockets.set(page, (sockets.get(page) ?? 0) + 1));
  await page.goto(`${origin}/livez`);
  await page.addScriptTag({
    type: 'module',
    content: "import { connect } from '/client.js'; window.connect = connect;",
  });
  await page.waitForFunction(() => 'connect' in window);
  await page.evaluate((options) => {
    const { connect } = window as unknown as { connect(url: string, options: object): Connected };
    const notes: Notes = {
      points: [],
      gaps: [],
      transports: [],
      status: { phase: 'closed', transport: null, roundTrip: null, lag: null },
    };
    const client = connect('/', {
      ...options,
      onStatus: (status: Notes['status']) => {
        notes.status = status;
        if (status.phase === 'live' && status.transport !== notes.transports.at(-1)) {
          notes.transports.push(status.transport!);
        }
      },
    });
    const subscription = client.subscribe('steps', {
      window: '15m',
      onPoints: (points: { time: number; value: number }[]) => {
        notes.points.push(...points.map(({ time, value }): [number, number] => [time, value]));
      },
      onGap: (lost: number | null) => notes.gaps.push(lost),
    });
    Object.assign(window, { notes, client, subscription });
  }, options);
  return page;
}

const notes = (page: Page): Promise<Notes> =>
  page.evaluate(() => (window as unknown as { notes: Notes }).notes);
const received = async (page: Page): Promise<[number, number][]> => (await notes(page)).points;

async function subscribers(): Promise<{ count: number; subscribers: { transport: string }[] }> {
  return (await fetch(`${server.url}/v1/subscribers`)).json();
}

/** Publishes one series, and knows what a page should have been told of it. */
class Producer {
  readonly published: [number, number][] = [];

  async publish(count: number, apart = 60): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      const sample: [number, number] = [Date.now(), this.published.length];
      await server.publish({ name: 'steps', value: sample[1], time: sample[0] });
      this.published.push(sample);
      await new Promise((resolve) => setTimeout(resolve, apart));
    }
  }
}

const patient = { timeout: 20_000, interval: 50 };

describe('a stream', () => {
  test('that a server’s death cuts goes on, with every point once', async () => {
    const producer = new Producer();
    await producer.publish(5);
    const page = await watch(server.url);
    await expect.poll(() => received(page), patient).toEqual(producer.published);
    await producer.publish(5);
    await expect.poll(() => received(page), patient).toEqual(producer.published);
    const { port } = server;
    await server.stop('SIGKILL');
    await expect.poll(async () => (await notes(page)).status.phase, patient).not.toBe('live');
    server = await Server.start('serve', port);
    await producer.publish(5);
    await expect.poll(() => received(page), patient).toEqual(producer.published);
    await producer.publish(5);
    await expect.poll(() => received(page), patient).toEqual(producer.published);
    // The new server can't know what the old one had and nobody was given.
    expect((await notes(page)).gaps).toEqual([null]);
  });

  test('moves to SSE where WebSocket is blocked, and back when it no longer is', LONG, async () => {
    const middlebox = await Middlebox.start(server.url, { websocket: true });
    const producer = new Producer();
    const page = await watch(middlebox.url, { timing: { upgrade: 700 } });
    await producer.publish(15);
    await expect.poll(() => received(page), patient).toEqual(producer.published);
    expect((await notes(page)).transports).toEqual(['sse']);
    middlebox.interference.websocket = false;
    const publishing = producer.publish(100, 40);
    await expect
      .poll(async () => (await notes(page)).transports, patient)
      .toEqual(['sse', 'websocket']);
    await publishing;
    await expect.poll(() => received(page), patient).toEqual(producer.published);
    expect((await subscribers()).subscribers.map(({ transport }) => transport)).toEqual([
      'websocket',
    ]);
    // Once more the other way: a box that cuts what it let through.
    middlebox.interference.websocket = true;
    middlebox.cut();
    await producer.publish(10);
    await expect.poll(() => received(page), patient).toEqual(producer.published);
    expect(await notes(page)).toMatchObject({
      gaps: [],
      transports: ['sse', 'websocket', 'sse'],
      status: { phase: 'live', transport: 'sse' },
    });
    middlebox.stop();
  });

  test('goes by what delivers, not by what opens', async () => {
    const middlebox = await Middlebox.start(server.url, { mute: true });
    const producer = new Producer();
    await producer.publish(1);
    const page = await watch(middlebox.url);
    await expect.poll(() => received(page), patient).toEqual(producer.published);
    expect((await notes(page)).transports).toEqual(['sse']);
    // It is remembered: the next page doesn't wait for a WebSocket first.
    const next = await watch(middlebox.url);
    await expect.poll(() => received(next), patient).toEqual(producer.published);
    expect((await notes(next)).transports).toEqual(['sse']);
    middlebox.stop();
  });

  test.each(['websocket', 'sse', 'longpoll'])('over %s, chosen, tells how it is', async (name) => {
    const producer = new Producer();
    const page = await watch(server.url, { transports: [name] });
    await producer.publish(10);
    await expect.poll(() => received(page), patient).toEqual(producer.published);
    const { status, transports } = await notes(page);
    expect(transports).toEqual([name]);
    expect(status.phase).toBe('live');
    expect(status.roundTrip).toBeGreaterThan(0);
    expect(status.roundTrip).toBeLessThan(20_000);
    expect(status.lag).toBeLessThan(20_000);
    const { length, isTyped } = await page.evaluate(() => {
      const { subscription } = window as unknown as {
        subscription: { series: { times: unknown; length: number }[] };
      };
      const [series] = subscription.series;
      return { length: series!.length, isTyped: series!.times instanceof Float64Array };
    });
    expect([length, isTyped]).toEqual([10, true]);
  });

  test('serves a second subscription on the same connection, whatever carries it', async () => {
    const hosts = ['a', 'b', 'c'];
    for (const host of hosts) {
      await server.publish({ name: 'load', labels: { host }, value: 1 });
    }
    for (const transport of ['websocket', 'sse', 'longpoll']) {
      const page = await watch(server.url, { transports: [transport] });
      await expect.poll(async () => (await notes(page)).status.phase, patient).toBe('live');
      await page.evaluate(() => {
        const { client } = window as unknown as { client: Connected };
        Object.assign(window, {
          other: client.subscribe('load{host=~"a|b"}', { window: '5m' }),
        });
      });
      const names = () =>
        page.evaluate(() => {
          const { other } = window as unknown as {
            other: { series: { labels: { host: string } }[] };
          };
          return other.series.map(({ labels }) => labels.host).sort();
        });
      await expect.poll(names, patient).toEqual(['a', 'b']);
      await expect.poll(async () => (await subscribers()).count, patient).toBe(1);
      await page.close();
      await expect.poll(async () => (await subscribers()).count, patient).toBe(0);
    }
  });
});

test(
  'in a network that is cut again and again, with subscriptions that come and go',
  LONG,
  async () => {
    const middlebox = await Middlebox.start(server.url);
    const producer = new Producer();
    const pages = [
      await watch(middlebox.url, { transports: ['websocket'] }),
      await watch(middlebox.url, { transports: ['sse'] }),
      await watch(middlebox.url, { transports: ['longpoll'] }),
      await watch(middlebox.url, { share: true }),
      await watch(middlebox.url, { share: true }),
    ];
    const publishing = producer.publish(160, 30);
    for (let round = 0; round < 8; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 300 + 100 * (round % 3)));
      middlebox.cut();
      for (const page of pages) {
        await page.evaluate((round) => {
          const { client, late } = window as unknown as {
            client: Connected;
            late?: { values: number[]; subscription: { close(): void } }[];
          };
          const values: number[] = [];
          const subscription = client.subscribe(`steps{round!="${round}"}`, {
            window: '15m',
            onPoints: (points: { value: number }[]) =>
              values.push(...points.map(({ value }) => value)),
          }) as { close(): void };
          Object.assign(window, { late: [...(late ?? []), { values, subscription }] });
          if (round % 2 === 1) {
            late!.at(-1)!.subscription.close();
          }
        }, round);
      }
    }
    await publishing;
    const all = producer.published.map(([, value]) => value);
    for (const [which, page] of pages.entries()) {
      const what = { ...patient, message: `page ${which}` };
      await expect.poll(() => received(page), what).toEqual(producer.published);
      expect((await notes(page)).gaps).toEqual([]);
      const late = () =>
        page.evaluate(() =>
          (window as unknown as { late: { values: number[] }[] }).late.map(({ values }) => values),
        );
      for (const [round, values] of (await late()).entries()) {
        if (round % 2 === 1) {
          // Those that came later have all of the past as well.
          const that = { ...patient, message: `round ${round} of page ${which}` };
          await expect.poll(async () => (await late())[round], that).toEqual(all);
        } else {
          expect(values).toEqual(all.slice(0, values.length));
        }
      }
    }
    middlebox.stop();
  },
);

describe('tabs that share', () => {
  test('twenty have one connection, and every point once each', LONG, async () => {
    const producer = new Producer();
    await producer.publish(3);
    const pages: Page[] = [];
    for (let n = 0; n < 20; n += 1) {
      pages.push(await watch(server.url, { share: true }));
    }
    await producer.publish(10);
    for (const page of pages) {
      await expect.poll(() => received(page), patient).toEqual(producer.published);
      expect((await notes(page)).status).toMatchObject({ phase: 'live', transport: 'websocket' });
    }
    expect((await subscribers()).count).toBe(1);
  });

  test('go on when the one that leads closes, and when it crashes', LONG, async () => {
    const producer = new Producer();
    const pages: Page[] = [];
    for (let n = 0; n < 4; n += 1) {
      pages.push(await watch(server.url, { share: true }));
      await expect
        .poll(async () => (await notes(pages.at(-1)!)).status.phase, patient)
        .toBe('live');
    }
    // The first to come leads, and then the next.
    const publishing = producer.publish(150, 30);
    const leads = () => pages.map((page) => sockets.get(page) ?? 0);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(leads()).toEqual([1, 0, 0, 0]);
    await pages.shift()!.close();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(leads()).toEqual([1, 0, 0]);
    await crash(pages.shift()!);
    await publishing;
    expect(leads()).toEqual([1, 0]);
    for (const page of pages) {
      await expect.poll(() => received(page), patient).toEqual(producer.published);
      expect((await notes(page)).gaps).toEqual([]);
    }
    expect((await subscribers()).count).toBe(1);
  });

  test('survive a server’s death together', LONG, async () => {
    const producer = new Producer();
    const pages = [
      await watch(server.url, { share: true }),
      await watch(server.url, { share: true }),
    ];
    await producer.publish(5);
    // What a server has only accepted dies with it.
    for (const page of pages) {
      await expect.poll(() => received(page), patient).toEqual(producer.published);
    }
    const { port } = server;
    await server.stop('SIGKILL');
    server = await Server.start('serve', port);
    await producer.publish(5);
    for (const page of pages) {
      await expect.poll(() => received(page), patient).toEqual(producer.published);
    }
    expect((await subscribers()).count).toBe(1);
  });
});

test('the example of the documentation works as it stands, and its types are served', async () => {
  const [, example] = /```js\n([\s\S]*?)```/.exec(readFileSync(PAGE, 'utf8'))!;
  expect(example!.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(10);
  const page = await context.newPage();
  const lines: string[] = [];
  page.on('console', (message) => lines.push(message.text()));
  await page.goto(server.url);
  // As the console runs it: what is inline in the page, its own policy forbids.
  void page.evaluate(`(async () => { ${example!} })()`).catch(() => {});
  await server.publish({ name: 'room_celsius', labels: { room: 'lab' }, value: 21.5 });
  await expect.poll(() => lines.join('\n'), patient).toContain('21.5');
  const types = await fetch(`${server.url}/client.d.ts`);
  expect(types.headers.get('Content-Type')).toBe('text/plain; charset=utf-8');
  const declared = await types.text();
  expect(declared).toContain('declare function connect(');
  expect(strangersErrors(declared, example!)).toBe('');
});

/** What the compiler has against a stranger's strict TypeScript that uses the client. */
function strangersErrors(types: string, example: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'pushsvc-types-'));
  const local = example.replace("'/client.js'", "'./client.js'");
  writeFileSync(join(folder, 'client.d.ts'), types);
  writeFileSync(join(folder, 'example.ts'), `${local}\nexport {};\n`);
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        target: 'ES2022',
        module: 'ESNext',
        moduleResolution: 'bundler',
        types: [],
      },
      include: ['*.ts'],
    }),
  );
  const { stdout } = spawnSync(process.execPath, [COMPILER, '-p', folder], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  return stdout;
}

/** End a page's process without a word. */
async function crash(page: Page): Promise<void> {
  const crashed = page.waitForEvent('crash');
  page.goto('chrome://crash').catch(() => {});
  await crashed;
}
