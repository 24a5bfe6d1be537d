/** Two servers that know nothing of each other behind one address: said, and never stormed. */

import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ARTIFACTS, expectFreshness, LONG, launch, open } from './browser.ts';
import { Server } from './server.ts';

/** A balancer that leads each request to the next server. */
class RoundRobin {
  /** How many asked for a stream. */
  streams = 0;
  private requests = 0;
  private readonly targets: readonly URL[];
  private readonly refused: RegExp | null;
  private readonly server: http.Server;

  /** `refused` are the headers of requests that don't get through. */
  constructor(targets: readonly string[], refused: RegExp | null = null) {
    this.targets = targets.map((url) => new URL(url));
    this.refused = refused;
    this.server = http.createServer((request, response) => this.pass(request, response));
    this.server.on('upgrade', (request, socket: net.Socket, head) => {
      socket.on('error', () => {});
      const target = this.next(request);
      if (target === null) {
        socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
        return;
      }
      const onward = net.connect(Number(target.port), target.hostname);
      onward.on('error', () => socket.destroy());
      const headers = request.rawHeaders.map((text, at) => text + (at % 2 === 0 ? ': ' : '\r\n'));
      onward.write(`GET ${request.url} HTTP/1.1\r\n${headers.join('')}\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
  }

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private next(request: http.IncomingMessage): URL | null {
    const { accept = '', upgrade = '' } = request.headers;
    this.streams += /\/v1\/stream/.test(request.url!) ? 1 : 0;
    if (this.refused?.test(`${upgrade} ${accept}`)) {
      return null;
    }
    this.requests += 1;
    return this.targets[this.requests % this.targets.length]!;
  }

  private pass(request: http.IncomingMessage, response: http.ServerResponse): void {
    const target = this.next(request);
    if (target === null) {
      response.writeHead(406).end();
      return;
    }
    const { hostname, port } = target;
    const { url: path, method, headers } = request;
    const onward = http.request(
      { hostname, port, path, method, headers, agent: false },
      (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }
}

let browser: Browser;
let servers: Server[];
let publishing: ReturnType<typeof setInterval>;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  servers = await Promise.all([Server.start(), Server.start()]);
  // News all the time, so that no answer waits for some.
  publishing = setInterval(() => {
    for (const server of servers) {
      server.publish({ name: 'steps', value: Math.random() }).catch(() => {});
    }
  }, 50);
});
afterEach(async () => {
  clearInterval(publishing);
  await Server.stopAll();
});

describe.each([
  ['long poll', /websocket|event-stream/, {}],
  ['SSE', /websocket/, LONG],
  ['WebSocket', null, {}],
] as const)('a page on %s', (name, refused, often) => {
  test('asks no more often than it must', often, async () => {
    const balancer = new RoundRobin(
      servers.map(({ url }) => url),
      refused,
    );
    const url = await balancer.start();
    const { page, failures, close } = await open(browser, url);
    await expectFreshness(page, 'Live');
    await expect.poll(() => page.locator('.connection .transport').textContent()).toBe(name);
    if (name === 'long poll') {
      await page.getByText('Several servers that don’t share a journal').waitFor();
      await page.screenshot({ path: `${ARTIFACTS}/several.png` });
    }
    const before = balancer.streams;
    await new Promise((resolve) => setTimeout(resolve, 8000));
    // Polls that are held, and once in a while a try of something better: without the one it would
    // be a hundred a second.
    expect(balancer.streams - before).toBeLessThanOrEqual(name === 'long poll' ? 24 : 3);
    expect(failures).toEqual([]);
    await close();
    balancer.stop();
  });
});

test("a browser's own EventSource", async () => {
  const balancer = new RoundRobin(servers.map(({ url }) => url));
  const url = await balancer.start();
  const { page, close } = await open(browser, `${url}/livez`);
  await page.evaluate(() => {
    new EventSource('/v1/stream?select=steps');
  });
  await new Promise((resolve) => setTimeout(resolve, 5000));
  expect(balancer.streams).toBe(1);
  await close();
  balancer.stop();
});
