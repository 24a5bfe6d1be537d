/** What the transports make of answers, and of close codes. */

import { afterEach, describe, expect, test, vi } from 'vitest';
import { longpoll } from '../src/client/longpoll.ts';
import type { Document } from '../src/client/protocol.ts';
import { adviceOfClose, retryAfter } from '../src/client/retry.ts';
import { EventParser, sse } from '../src/client/sse.ts';
import type { End, Listener } from '../src/client/transport.ts';
import { websocket } from '../src/client/websocket.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

class Ear implements Listener {
  readonly documents: Document[] = [];
  readonly cursors: (string | undefined)[] = [];
  readonly end: Promise<End>;
  ended!: (end: End) => void;

  constructor() {
    this.end = new Promise((resolve) => {
      this.ended = resolve;
    });
  }

  received(document: Document): void {
    this.documents.push(document);
  }

  alive(id?: string): void {
    this.cursors.push(id);
  }
}

const url = () => new URL('http://test/v1/stream');
const answer = (...responses: (Response | Error)[]): string[] => {
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (input: URL) => {
    asked.push(input.search);
    const response = responses.shift() ?? new TypeError('no network');
    if (response instanceof Error) {
      throw response;
    }
    return response;
  });
  return asked;
};
const problem = (status: number, code: string, headers = {}): Response =>
  new Response(JSON.stringify({ detail: `because of ${code}`, code }), {
    status,
    headers: { 'Content-Type': 'application/problem+json', ...headers },
  });

test.each([
  [1000, 'back-off'],
  [1001, 'back-off'],
  [1006, 'back-off'],
  [1008, 'never'],
  [1012, 'back-off'],
  [1013, 'back-off'],
  [4000, 'never'],
  [4099, 'never'],
  [4100, 'back-off'],
  [4199, 'back-off'],
  [4200, 'at-once'],
  [4299, 'at-once'],
])('close code %i means %s', (code, advice) => {
  expect(adviceOfClose(code)).toBe(advice);
});

test('Retry-After is seconds or a date', () => {
  const now = Date.UTC(2026, 0, 1);
  expect(retryAfter('3', now)).toBe(3000);
  expect(retryAfter('Thu, 01 Jan 2026 00:00:10 GMT', now)).toBe(10_000);
  expect(retryAfter('Thu, 01 Jan 2025 00:00:10 GMT', now)).toBe(0);
  expect(retryAfter(null, now)).toBe(undefined);
  expect(retryAfter('soon', now)).toBe(undefined);
});

describe('the parser of event streams', () => {
  const cases: [string, string, string[]][] = [
    ['one event', 'id: E.1\ndata: {"a":1}\n\n', ['{"a":1}']],
    ['CRLF, CR and LF', 'data: a\r\n\r\ndata: b\r\rdata: c\n\n', ['a', 'b', 'c']],
    ['several data lines', 'data: a\ndata: b\n\n', ['a\nb']],
    ['no space, two spaces, none at all', 'data:a\n\ndata:  b\n\ndata\n\n', ['a', ' b', '']],
    ['comments and other fields', ': hi\nretry: 5\nevent: x\n\ndata: a\n\n', ['a']],
    ['an event that is cut off', 'data: a\n\ndata: b\n', ['a']],
  ];
  test.each(cases)('%s', (_, text, events) => {
    const whole: string[] = [];
    const parser = new EventParser((data) => whole.push(data));
    parser.feed(text);
    expect(whole).toEqual(events);
    const parts: string[] = [];
    const cut = new EventParser((data) => parts.push(data));
    for (const character of text) {
      cut.feed(character);
    }
    expect(parts).toEqual(events);
  });
});

describe('SSE', () => {
  test('gives the documents, then the end', async () => {
    answer(
      new Response('id: E.1\ndata: {"type":"heartbeat","id":"E.1","time":0}\n\n', {
        headers: { 'Content-Type': 'text/event-stream; charset=utf-8' },
      }),
    );
    const ear = new Ear();
    sse.open(url, ear);
    expect(await ear.end).toMatchObject({ advice: 'back-off' });
    expect(ear.documents).toEqual([{ type: 'heartbeat', id: 'E.1', time: 0 }]);
  });

  test.each([
    [
      problem(400, 'selector'),
      { advice: 'never', code: 'selector', reason: 'because of selector' },
    ],
    [problem(401, 'token'), { advice: 'never' }],
    [problem(406, 'accept'), { advice: 'back-off', unusable: true }],
    [problem(503, 'full', { 'Retry-After': '5' }), { advice: 'back-off', after: 5000 }],
    [new Response('<html>', { status: 502 }), { advice: 'back-off' }],
    [new Response('<html>', { headers: { 'Content-Type': 'text/html' } }), { unusable: true }],
    [new TypeError('refused'), { advice: 'back-off', reason: "the server can't be reached" }],
  ])('ends as the answer says', async (response, end) => {
    answer(response);
    const ear = new Ear();
    sse.open(url, ear);
    expect(await ear.end).toMatchObject(end);
  });
});

describe('long polling', () => {
  test('asks again with what it got, and holds all polls but the first', async () => {
    const asked = answer(
      Response.json({ id: 'E.1', documents: [{ type: 'gap', id: 'E.1', lost: 1 }] }),
      Response.json({ id: 'E.4', documents: [] }),
      problem(503, 'draining'),
    );
    const ear = new Ear();
    longpoll.open(url, ear);
    expect(await ear.end).toMatchObject({ advice: 'back-off', code: 'draining' });
    expect(asked).toEqual(['?wait=1', '?wait=25', '?wait=25']);
    expect(ear.documents).toEqual([{ type: 'gap', id: 'E.1', lost: 1 }]);
    expect(ear.cursors).toEqual(['E.1', 'E.4']);
  });
});

describe('WebSocket', () => {
  class FakeSocket {
    static last: FakeSocket;
    onopen: () => void = () => {};
    onmessage: ((event: { data: string }) => void) | null = null;
    onclose: (event: { code: number; reason: string }) => void = () => {};
    closedWith: number | undefined;
    readonly url: string;

    constructor(address: URL) {
      this.url = String(address);
      FakeSocket.last = this;
    }

    close(code?: number): void {
      this.closedWith = code;
    }
  }

  const opened = (): [FakeSocket, Ear] => {
    vi.stubGlobal('WebSocket', FakeSocket);
    const ear = new Ear();
    websocket.open(url, ear);
    return [FakeSocket.last, ear];
  };

  test('one that never opens is not usable here', async () => {
    const [socket, ear] = opened();
    expect(socket.url).toBe('ws://test/v1/stream');
    socket.onclose({ code: 1006, reason: '' });
    expect(await ear.end).toMatchObject({ advice: 'back-off', unusable: true });
  });

  test('one that is closed with a reason is not blamed', async () => {
    const [socket, ear] = opened();
    socket.onopen();
    socket.onmessage!({ data: '{"type":"error","code":"full","message":"too many"}' });
    socket.onclose({ code: 1013, reason: 'full' });
    expect(await ear.end).toEqual({
      advice: 'back-off',
      reason: 'too many',
      code: 'full',
      unusable: false,
    });
  });

  test('what is no document ends it', async () => {
    const [socket, ear] = opened();
    socket.onopen();
    socket.onmessage!({ data: '<html>' });
    expect(await ear.end).toMatchObject({ advice: 'back-off' });
    expect(ear.documents).toEqual([]);
  });

  test('closing it is silent', () => {
    vi.stubGlobal('WebSocket', FakeSocket);
    const ear = new Ear();
    const ended = vi.spyOn(ear, 'ended');
    websocket.open(url, ear).close();
    FakeSocket.last.onclose({ code: 1000, reason: '' });
    expect(FakeSocket.last.closedWith).toBe(1000);
    expect(ended).not.toHaveBeenCalled();
  });
});
