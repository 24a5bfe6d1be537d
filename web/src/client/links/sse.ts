import { headers, parseDocument } from '../protocol/documents.ts';
import { endOfFailure, endOfResponse } from './http.ts';
import type { End, Listener, Request, Transport } from './transport.ts';

/** Server-Sent Events over fetch: unlike EventSource, fetch gives the status and takes a token. */
export const sse: Transport = {
  name: 'sse',
  hold: 0,
  open(request, listener) {
    const abort = new AbortController();
    void read(request(), listener, abort.signal);
    return {
      close: () => abort.abort(),
      watch: (change, session) => tell(request(), session, JSON.stringify(change), abort.signal),
    };
  },
};

async function read(
  { url, token }: Request,
  listener: Listener,
  signal: AbortSignal,
): Promise<void> {
  try {
    const response = await fetch(url, {
      // With problem+json accepted, the server refuses by a status; an EventSource it tells in the
      // stream.
      headers: headers(token, { Accept: 'text/event-stream, application/problem+json' }),
      cache: 'no-store',
      signal,
    });
    const type = response.headers.get('Content-Type') ?? '';
    if (!response.ok || response.body === null || !type.startsWith('text/event-stream')) {
      const end = await endOfResponse(response);
      if (!signal.aborted) {
        listener.ended(response.ok ? { ...end, advice: 'back-off', unusable: true } : end);
      }
      return;
    }
    const parser = new EventParser((data) => listener.received(parseDocument(data)));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted) {
        return;
      }
      if (done) {
        break;
      }
      parser.feed(value);
    }
    listener.ended({ advice: 'back-off', reason: 'the server ended the stream' });
  } catch (error) {
    if (!signal.aborted) {
      listener.ended(endOfFailure(error));
    }
  }
}

/** Send by a request beside the stream what a WebSocket would be sent. */
async function tell(
  { url, token }: Request,
  session: string,
  body: string,
  signal: AbortSignal,
): Promise<End | null> {
  try {
    const response = await fetch(new URL(`${url.pathname}/${session}`, url), {
      method: 'POST',
      headers: headers(token, { 'Content-Type': 'application/json' }),
      body,
      signal,
    });
    return response.ok ? null : await endOfResponse(response);
  } catch (error) {
    return endOfFailure(error);
  }
}

/** The most characters of one event: the server never sends so many, so it is another server. */
const LONGEST_EVENT = 64 * 1024 * 1024;

/**
 * Splits `text/event-stream` into the data of its events (HTML standard, section 9.2.6).
 *
 * The other fields are of no use here: a document carries its own cursor and wait. Throws a
 * SyntaxError for an event that has no end.
 */
export class EventParser {
  /**
   * The line that has begun, in the pieces that came, so that a long line is searched only once.
   */
  #pieces: string[] = [];
  /** Characters since the last event ended. */
  #held = 0;
  #afterReturn = false;
  #data: string[] = [];
  readonly #emit: (data: string) => void;

  constructor(emit: (data: string) => void) {
    this.#emit = emit;
  }

  /** Parse the next part of the stream, which may end anywhere. */
  feed(text: string): void {
    let start = 0;
    this.#held += text.length;
    if (this.#held > LONGEST_EVENT) {
      throw new SyntaxError('the server sent an event that does not end');
    }
    // A line that ended with a CR at the end of the last part may have its LF here.
    if (this.#afterReturn && text.length > 0) {
      this.#afterReturn = false;
      start = text.startsWith('\n') ? 1 : 0;
    }
    const breaks = /\r\n|\n|\r/g;
    breaks.lastIndex = start;
    for (let found = breaks.exec(text); found !== null; found = breaks.exec(text)) {
      this.#pieces.push(text.slice(start, found.index));
      start = breaks.lastIndex;
      this.#afterReturn = found[0] === '\r' && start === text.length;
      this.#line(this.#pieces.join(''));
      this.#pieces = [];
    }
    if (start < text.length) {
      this.#pieces.push(text.slice(start));
    }
  }

  #line(line: string): void {
    if (line === '') {
      this.#held = 0;
      if (this.#data.length > 0) {
        const data = this.#data.join('\n');
        this.#data = [];
        this.#emit(data);
      }
    } else if (line === 'data') {
      this.#data.push('');
    } else if (line.startsWith('data:')) {
      this.#data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
    }
  }
}
