import { type Document, epochOf, headers } from '../protocol/documents.ts';
import { endOfFailure, endOfResponse } from './http.ts';
import { backOff } from './retry.ts';
import { POLL_SECONDS } from './timing.ts';
import type { Listener, Request, Transport } from './transport.ts';

interface Answer {
  readonly id: string;
  readonly documents: readonly Document[];
  /** As in `hello`, which polls have none of. */
  readonly expressions?: Readonly<Record<string, string>>;
}

/** One poll after the other: works wherever web pages do. */
export const longpoll: Transport = {
  name: 'longpoll',
  hold: POLL_SECONDS,
  open(request, listener) {
    const abort = new AbortController();
    void run(request, listener, abort.signal);
    return { close: () => abort.abort() };
  },
};

async function run(request: () => Request, listener: Listener, signal: AbortSignal): Promise<void> {
  // The first answer comes soon even if there is no news: it tells that polling works.
  let wait = 1;
  // How often lately an answer came from another server than the one before.
  let switches = 0;
  try {
    while (!signal.aborted) {
      const { url, token } = request();
      url.searchParams.set('wait', String(wait));
      const since = url.searchParams.get('since');
      const asked = Date.now();
      wait = POLL_SECONDS;
      const response = await fetch(url, {
        headers: headers(token, { Accept: 'application/json' }),
        cache: 'no-store',
        signal,
      });
      if (!response.ok) {
        const end = await endOfResponse(response);
        if (!signal.aborted) {
          listener.ended(end);
        }
        return;
      }
      const answer: Answer = await response.json();
      for (const document of answer.documents) {
        // A goaway among them makes the stream close this link.
        if (signal.aborted) {
          return;
        }
        // With each, as another tab may take it.
        listener.received({ ...document, expressions: answer.expressions });
      }
      if (!signal.aborted) {
        listener.alive(answer.id);
      }
      const switched = since !== null && epochOf(since) !== epochOf(answer.id);
      switches = switched ? switches + 1 : Math.max(0, switches - 1);
      if (switched && switches > 1) {
        // The server holds such polls as well, unless it is an older one.
        await pause(asked + backOff(switches - 1, Math.random) - Date.now(), signal);
      }
    }
  } catch (error) {
    if (!signal.aborted) {
      listener.ended(endOfFailure(error));
    }
  }
}

/** Resolves after so many milliseconds, or at once when the link is closed. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
