/** What the transports make of answers, and of close codes. */

import { afterEach, describe, expect, test, vi } from 'vitest';
import { longpoll } from '../../src/client/links/longpoll.ts';
import { adviceOfClose, retryAfter } from '../../src/client/links/retry.ts';
import { EventParser, sse } from '../../src/client/links/sse.ts';
import type { End, Listener } from '../../src/client/links/transport.ts';
import { websocket } from '../../src/client/links/websocket.ts';
import type { Document } from '../../src/client/protocol/documents.ts';

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

const url = (token: string | null = null) => {
  return () => ({ url: new URL('http://test/v1/stream'), token });
};
let requests: { url: URL; init: RequestInit }[] = [];
const answer = (...responses: (Response | Error)[]): string[] => {
  const asked: string[] = [];
  requests = [];
  vi.stubGlobal('fetch', async (input: URL, init: RequestInit) => {
    asked.push(input.search);
    requests.push({ url: input, init });
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
    sse.open(url(), ear);
    expect(await ear.end).toMatchObject({ advice: 'back-off' });
    expect(ear.documents).toEqual([{ type: 'heartbeat', id: 'E.1', time: 0 }]);
  });

  test.each([
    [
      problem(400, 'selector'),
      { advice: 'never', code: 'selector', reason: 'because of selector' },
    ],
    [problem(401, 'token'), { advice: 'never', unauthorized: true }],
    [problem(403, 'scope'), { advice: 'never' }],
    [problem(406, 'accept'), { advice: 'back-off', unusable: true }],
    [problem(503, 'full', { 'Retry-After': '5' }), { advice: 'back-off', after: 5000 }],
    [new Response('<html>', { status: 502 }), { advice: 'back-off' }],
    [new Response('<html>', { headers: { 'Content-Type': 'text/html' } }), { unusable: true }],
    [new TypeError('refused'), { advice: 'back-off', reason: "the server can't be reached" }],
  ])('ends as the answer says', async (response, end) => {
    answer(response);
    const ear = new Ear();
    sse.open(url(), ear);
    expect(await ear.end).toMatchObject(end);
  });
});

test('an event that has no end is no event', () => {
  const parser = new EventParser(() => {});
  const part = 'x'.repeat(1024 * 1024);
  expect(() => {
    for (let n = 0; n < 65; n += 1) {
      parser.feed(part);
    }
  }).toThrow(SyntaxError);
});

test('over HTTP the token is a header, also of what is said to a stream by its side', async () => {
  const never = new ReadableStream();
  const stream = new Response(never, { headers: { 'Content-Type': 'text/event-stream' } });
  answer(stream, Response.json({ granted: {} }), problem(404, 'session'), new TypeError('no'));
  const link = sse.open(url('s3cret'), new Ear());
  expect(await link.watch!({ type: 'watch', max_hz: 1 }, 'abc')).toBe(null);
  const [, said] = requests;
  expect(String(said!.url)).toBe('http://test/v1/stream/abc');
  expect(said!.init).toMatchObject({ method: 'POST', body: '{"type":"watch","max_hz":1}' });
  for (const { init } of requests) {
    expect(new Headers(init.headers).get('Authorization')).toBe('Bearer s3cret');
  }
  const refused = await link.watch!({ type: 'watch', max_hz: 1 }, 'abc');
  expect(refused).toMatchObject({ unusable: true, reason: 'because of session' });
  expect(await link.watch!({ type: 'watch', max_hz: 1 }, 'abc')).toMatchObject({
    advice: 'back-off',
  });
  link.close();
});

describe('long polling', () => {
  test('asks again with what it got, and holds all polls but the first', async () => {
    const asked = answer(
      Response.json({ id: 'E.1', documents: [{ type: 'gap', id: 'E.1', lost: 1 }] }),
      Response.json({ id: 'E.4', documents: [] }),
      problem(503, 'draining'),
    );
    const ear = new Ear();
    longpoll.open(url(), ear);
    expect(await ear.end).toMatchObject({ advice: 'back-off', code: 'draining' });
    expect(asked).toEqual(['?wait=1', '?wait=25', '?wait=25']);
    expect(ear.documents).toEqual([{ type: 'gap', id: 'E.1', lost: 1 }]);
    expect(ear.cursors).toEqual(['E.1', 'E.4']);
  });

  test('passes on with documents what results are called, as there is no hello', async () => {
    const expressions = { 'sum(polled)by(a)': 'sum by (a) (polled)' };
    const gap = { type: 'gap', id: 'E.1', lost: 1 };
    answer(Response.json({ id: 'E.1', documents: [gap], expressions }), problem(503, 'draining'));
    const ear = new Ear();
    longpoll.open(url(), ear);
    await ear.end;
    expect(ear.documents).toEqual([{ ...gap, expressions }]);
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
    readonly protocols: string[];
    readonly sent: string[] = [];

    constructor(address: URL, protocols: string[]) {
      this.url = String(address);
      this.protocols = protocols;
      FakeSocket.last = this;
    }

    send(text: string): void {
      this.sent.push(text);
    }

    close(code?: number): void {
      this.closedWith = code;
    }
  }

  const opened = (): [FakeSocket, Ear] => {
    vi.stubGlobal('WebSocket', FakeSocket);
    const ear = new Ear();
    websocket.open(url(), ear);
    return [FakeSocket.last, ear];
  };

  test('a token travels as a subprotocol, since a page can set no headers', () => {
    vi.stubGlobal('WebSocket', FakeSocket);
    websocket.open(url('tök?n>'), new Ear());
    expect(FakeSocket.last.protocols).toEqual(['pushsvc.v1', 'pushsvc.token.dMO2az9uPg']);
    websocket.open(url(), new Ear());
    expect(FakeSocket.last.protocols).toEqual(['pushsvc.v1']);
  });

  test('a token that has expired is told apart from other refusals', async () => {
    const [socket, ear] = opened();
    socket.onopen();
    socket.onmessage!({ data: '{"type":"error","code":"token","message":"it has expired"}' });
    socket.onclose({ code: 1008, reason: 'token' });
    expect(await ear.end).toMatchObject({ advice: 'never', unauthorized: true });
  });

  test('says what is to be shown', async () => {
    vi.stubGlobal('WebSocket', FakeSocket);
    const link = websocket.open(url(), new Ear());
    expect(await link.watch!({ type: 'watch', select: ['up'], max_hz: 2 }, 's')).toBe(null);
    expect(FakeSocket.last.sent).toEqual(['{"type":"watch","select":["up"],"max_hz":2}']);
  });

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
    websocket.open(url(), ear).close();
    FakeSocket.last.onclose({ code: 1000, reason: '' });
    expect(FakeSocket.last.closedWith).toBe(1000);
    expect(ended).not.toHaveBeenCalled();
  });
});
