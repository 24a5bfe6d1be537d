/** Measures what a path does to connections, as far as a browser can see. Times are in seconds. */

/** The body of `POST /v1/doctor/report`. */
export interface Measured {
  readonly url: string;
  readonly idle: number;
  readonly seconds: number;
  /** Unix seconds by this browser's clock, before and after the request that `echo` answers. */
  readonly before: number;
  readonly after: number;
  readonly echo: unknown;
  /** The headers of that answer, with names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly front: string;
  /** Why each transport doesn't work; empty if it does. */
  readonly through: Readonly<Record<string, string>>;
  readonly drip: Drip;
  readonly quiet: Readonly<Record<string, readonly Quiet[]>>;
  readonly busy: Readonly<Record<string, Busy>>;
  /** From several answers. */
  readonly epochs: readonly string[];
  readonly upload: Upload;
}

interface Upload {
  readonly bytes: number;
  /** Everything is sent at once, because browsers don't stream a request body over HTTP/1.1. */
  readonly took: 0;
  readonly status: number;
  readonly failure: string;
}

interface Drip {
  readonly arrived: number[];
  readonly sent_ms: number[];
  readonly encoding: string;
  readonly whole: boolean;
  readonly failure: string;
  /** Unix seconds by this browser's clock when it was asked for. */
  readonly began: number;
}

interface Quiet {
  readonly asked: number;
  readonly lived: number;
  readonly end: 'alive' | 'cut' | 'silent' | 'failed';
  readonly failure: string;
}

interface Busy {
  readonly lasted: number;
  readonly failure: string;
}

const TIMEOUT_S = 5;
/** The number of further answers, which tell whether they come from one service. */
const OTHERS = 5;
/**
 * The last part of the longest silence. Something that silently drops an idle connection is found
 * between two of these.
 */
const SHARES = [0.25, 0.5, 1];

const seconds = (): number => performance.now() / 1000;
const say = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Examine the path to the service at `origin`, which takes about `idle` seconds. Throws an Error if
 * the service can't be reached.
 */
export async function measure(
  origin: URL,
  idle: number,
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<Measured> {
  const began = seconds();
  progress('Asking how requests arrive');
  const url = new URL('v1/doctor/echo', origin);
  url.searchParams.set('origin', origin.origin);
  const answer = await fetch(url, { cache: 'no-store', signal });
  const first = (await answer.json()) as { time_ms: number; epoch: string };
  if (!answer.ok) {
    throw new Error(`the service answered ${answer.status}`);
  }
  const epochs = [first.epoch];
  let [before, after, time_ms] = [0, Number.POSITIVE_INFINITY, 0];
  for (let count = 0; count < OTHERS; count += 1) {
    const asked = Date.now() / 1000;
    const told = await fetch(url, { cache: 'no-store', signal });
    const { epoch, time_ms: time } = (await told.json()) as typeof first;
    epochs.push(epoch);
    const came = Date.now() / 1000;
    // The quickest answer tells the service's clock best.
    if (came - asked < after - before) {
      [before, after, time_ms] = [asked, came, time];
    }
  }
  const echo = { ...first, time_ms };
  progress('Trying the transports');
  const through = {
    WebSocket: await socketThrough(origin),
    SSE: await answerThrough(origin, 'text/event-stream', signal),
    NDJSON: await answerThrough(origin, 'application/jsonl', signal),
    'long poll': await answerThrough(origin, 'application/json', signal),
  };
  progress('Looking for what buffers');
  const dripped = await drip(origin, 8, 0.25, signal);
  progress('Trying an upload');
  const uploaded = await upload(origin, signal);
  const watched = seconds();
  const ticking = setInterval(() => {
    const left = Math.max(0, Math.ceil(idle - (seconds() - watched)));
    progress(`Watching quiet and busy connections, ${left} s to go`);
  }, 1000);
  const sockets = through.WebSocket === '';
  try {
    const [answers, spells, busyAnswer, busySocket] = await Promise.all([
      // A browser opens at most six connections to a host, and over HTTP/1.1 each of these needs
      // one.
      Promise.all(SHARES.map((share) => quietAnswer(origin, share * idle, signal))),
      Promise.all(sockets ? SHARES.map((share) => quietSocket(origin, share * idle, signal)) : []),
      busyAnswerFor(origin, idle, signal),
      sockets ? busySocketFor(origin, idle, signal) : null,
    ]);
    signal.throwIfAborted();
    return {
      url: origin.href,
      idle,
      seconds: seconds() - began,
      before,
      after,
      echo,
      headers: Object.fromEntries(answer.headers),
      front: frontOf(answer.url),
      through,
      drip: dripped,
      quiet: { WebSocket: spells, 'HTTP stream': answers },
      busy: { 'HTTP stream': busyAnswer, ...(busySocket && { WebSocket: busySocket }) },
      epochs,
      upload: uploaded,
    };
  } finally {
    clearInterval(ticking);
  }
}

function frontOf(url: string): string {
  const [entry] = performance.getEntriesByName(url) as PerformanceResourceTiming[];
  const names: Record<string, string> = { h2: 'HTTP/2', h3: 'HTTP/3' };
  return names[entry?.nextHopProtocol ?? ''] ?? 'HTTP/1.1';
}

function socketUrl(origin: URL, path: string): URL {
  const url = new URL(path, origin);
  url.protocol = url.protocol.replace('http', 'ws');
  return url;
}

/** Why no stream works over a WebSocket; empty if one does. */
function socketThrough(origin: URL): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(socketUrl(origin, 'v1/stream'), ['pushsvc.v1']);
    let opened = false;
    const end = (failure: string): void => {
      clearTimeout(late);
      socket.onclose = null;
      socket.close();
      resolve(failure);
    };
    const late = setTimeout(
      () => end(`${opened ? 'it opened, and no message' : 'no answer'} came within ${TIMEOUT_S} s`),
      TIMEOUT_S * 1000,
    );
    socket.onopen = () => {
      opened = true;
    };
    socket.onmessage = () => end('');
    socket.onclose = ({ code }) => end(`closed with ${code}${opened ? '' : ' before it opened'}`);
  });
}

/** Why no stream of a media type works over HTTP; empty if one does. */
async function answerThrough(origin: URL, type: string, signal: AbortSignal): Promise<string> {
  const abort = new AbortController();
  const late = setTimeout(() => abort.abort(), TIMEOUT_S * 1000);
  try {
    const answer = await fetch(new URL('v1/stream?wait=250ms', origin), {
      // A client that accepts problem documents gets errors as a status, not in the stream.
      headers: { Accept: `${type}, application/problem+json` },
      cache: 'no-store',
      signal: AbortSignal.any([abort.signal, signal]),
    });
    const kind = (answer.headers.get('Content-Type') ?? '').split(';')[0]!;
    if (!answer.ok || kind !== type) {
      return answer.ok ? `it came as ${kind}, not ${type}` : `status ${answer.status}`;
    }
    const { done } = await answer.body!.getReader().read();
    return done ? 'it ended before the first byte' : '';
  } catch (error) {
    return abort.signal.aborted ? `no first byte within ${TIMEOUT_S} s` : say(error);
  } finally {
    clearTimeout(late);
    abort.abort();
  }
}

/** A body larger than one megabyte, which is a usual limit of proxies. */
async function upload(origin: URL, signal: AbortSignal): Promise<Upload> {
  const bytes = 1_500_000;
  try {
    const answer = await fetch(new URL('v1/doctor/upload', origin), {
      method: 'POST',
      body: new Blob([new Uint8Array(bytes)]),
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_S * 2000)]),
    });
    return { bytes, took: 0, status: answer.status, failure: '' };
  } catch (error) {
    return { bytes, took: 0, status: 0, failure: say(error) };
  }
}

/** Fetch an answer of some lines with pauses between them, and tell when each arrived. */
async function drip(
  origin: URL,
  lines: number,
  interval: number,
  signal: AbortSignal,
): Promise<Drip> {
  const began = seconds();
  const asked = Date.now() / 1000;
  const arrived: number[] = [];
  const sent: number[] = [];
  let encoding = '';
  const ended = (failure: string): Drip => ({
    arrived,
    sent_ms: sent,
    encoding,
    whole: failure === '',
    failure,
    began: asked,
  });
  try {
    const url = new URL('v1/doctor/drip', origin);
    url.searchParams.set('lines', String(lines));
    url.searchParams.set('interval', `${Math.round(interval * 1000)}ms`);
    const answer = await fetch(url, {
      cache: 'no-store',
      signal: AbortSignal.any([signal, AbortSignal.timeout((TIMEOUT_S + lines * interval) * 1000)]),
    });
    encoding = answer.headers.get('Content-Encoding') ?? '';
    if (!answer.ok) {
      return ended(`status ${answer.status}`);
    }
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        break;
      }
      const parts = (rest + value).split('\n');
      rest = parts.pop()!;
      for (const part of parts) {
        sent.push((JSON.parse(part) as { time_ms: number }).time_ms);
        arrived.push(seconds() - began);
      }
    }
    return ended(
      arrived.length === lines ? '' : `it ended after ${arrived.length} of ${lines} lines`,
    );
  } catch (error) {
    return ended((error as Error).name === 'TimeoutError' ? 'it came to a halt' : say(error));
  }
}

async function quietAnswer(origin: URL, asked: number, signal: AbortSignal): Promise<Quiet> {
  const began = seconds();
  const { whole, failure } = await drip(origin, 2, asked, signal);
  const lived = seconds() - began;
  if (whole) {
    return { asked, lived: asked, end: 'alive', failure: '' };
  }
  if (failure.startsWith('status')) {
    return { asked, lived, end: lived > 1 ? 'cut' : 'failed', failure };
  }
  return { asked, lived, end: lived >= asked ? 'silent' : 'cut', failure };
}

async function busyAnswerFor(origin: URL, wanted: number, signal: AbortSignal): Promise<Busy> {
  const began = seconds();
  const every = Math.min(1, wanted / 8);
  const { failure } = await drip(origin, Math.round(wanted / every) + 1, every, signal);
  return { lasted: seconds() - began, failure };
}

/** A WebSocket that echoes. `close` ends it; `ended` tells why it ended by itself. */
class Echo {
  readonly opened: Promise<boolean>;
  readonly ended: Promise<string>;
  readonly #socket: WebSocket;

  constructor(origin: URL, signal: AbortSignal) {
    const socket = new WebSocket(socketUrl(origin, 'v1/doctor/echo'), ['pushsvc.v1']);
    this.#socket = socket;
    this.opened = new Promise((resolve) => {
      socket.addEventListener('open', () => resolve(true));
      socket.addEventListener('close', () => resolve(false));
    });
    this.ended = new Promise((resolve) => {
      socket.addEventListener('close', ({ code }) => resolve(`closed with ${code}`));
    });
    signal.addEventListener('abort', () => socket.close());
  }

  /** Whether a message comes back in time. */
  answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const late = setTimeout(() => resolve(false), TIMEOUT_S * 1000);
      const done = (came: boolean): void => {
        clearTimeout(late);
        resolve(came);
      };
      this.#socket.addEventListener('message', () => done(true), { once: true });
      this.#socket.addEventListener('close', () => done(false), { once: true });
      this.#socket.send('still there?');
    });
  }

  close(): void {
    this.#socket.close();
  }
}

const rest = (wait: number): Promise<null> =>
  new Promise((resolve) => setTimeout(() => resolve(null), wait * 1000));

async function quietSocket(origin: URL, asked: number, signal: AbortSignal): Promise<Quiet> {
  const echo = new Echo(origin, signal);
  if (!(await echo.opened)) {
    return { asked, lived: 0, end: 'failed', failure: await echo.ended };
  }
  const began = seconds();
  const failure = await Promise.race([echo.ended, rest(asked)]);
  if (failure !== null) {
    return { asked, lived: seconds() - began, end: 'cut', failure };
  }
  const alive = await echo.answers();
  echo.close();
  return alive
    ? { asked, lived: asked, end: 'alive', failure: '' }
    : { asked, lived: seconds() - began, end: 'silent', failure: 'no echo' };
}

async function busySocketFor(origin: URL, wanted: number, signal: AbortSignal): Promise<Busy> {
  const echo = new Echo(origin, signal);
  if (!(await echo.opened)) {
    return { lasted: 0, failure: await echo.ended };
  }
  const began = seconds();
  while (seconds() - began < wanted) {
    if (!(await echo.answers())) {
      return { lasted: seconds() - began, failure: 'no echo any more' };
    }
    await rest(Math.min(1, wanted / 8));
  }
  echo.close();
  return { lasted: seconds() - began, failure: '' };
}
