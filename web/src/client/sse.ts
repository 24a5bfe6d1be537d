import { endOfFailure, endOfResponse } from './http.ts';
import { parseDocument } from './protocol.ts';
import type { Listener, Transport } from './transport.ts';

/** Server-Sent Events over fetch: unlike EventSource it shows statuses and never dies for good. */
export const sse: Transport = {
  name: 'sse',
  hold: 0,
  open(request, listener) {
    const abort = new AbortController();
    void read(request(), listener, abort.signal);
    return { close: () => abort.abort() };
  },
};

async function read(url: URL, listener: Listener, signal: AbortSignal): Promise<void> {
  try {
    const response = await fetch(url, {
      headers: { Accept: 'text/event-stream' },
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

/**
 * Splits `text/event-stream` into the data of its events (HTML standard, section 9.2.6).
 *
 * The other fields are of no use here: a document carries its own cursor and wait.
 */
export class EventParser {
  private rest = '';
  private data: string[] = [];
  private readonly emit: (data: string) => void;

  constructor(emit: (data: string) => void) {
    this.emit = emit;
  }

  /** Take in a part of the stream, cut anywhere. */
  feed(text: string): void {
    // A CR at the end may be half of a CRLF: it waits for what follows.
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      this.line(line);
    }
  }

  private line(line: string): void {
    if (line === '') {
      if (this.data.length > 0) {
        const data = this.data.join('\n');
        this.data = [];
        this.emit(data);
      }
    } else if (line === 'data') {
      this.data.push('');
    } else if (line.startsWith('data:')) {
      this.data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
    }
  }
}
