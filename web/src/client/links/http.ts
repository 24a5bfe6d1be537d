/** For transports over HTTP: why a request failed. */

import { retryAfter } from './retry.ts';
import type { End } from './transport.ts';

/** Why the server, or a proxy before it, refused the stream. */
export async function endOfResponse(response: Response): Promise<End> {
  const why = await explain(response);
  const { status } = response;
  // 408, 429 and 5xx are temporary; 404, 405, 406 and 415 are about this transport.
  if (status === 408 || status === 429 || status >= 500) {
    const after = retryAfter(response.headers.get('Retry-After'), Date.now());
    return { advice: 'back-off', ...why, ...(after === undefined ? {} : { after }) };
  }
  if ([404, 405, 406, 415].includes(status)) {
    return { advice: 'back-off', ...why, unusable: true };
  }
  return { advice: 'never', ...why, ...(status === 401 ? { unauthorized: true } : {}) };
}

/** The end for a fetch that failed: browsers don't tell why. */
export function endOfFailure(error: unknown): End {
  const reason = error instanceof SyntaxError ? error.message : "the server can't be reached";
  return { advice: 'back-off', reason };
}

async function explain(response: Response): Promise<{ reason: string; code?: string }> {
  try {
    if (response.headers.get('Content-Type')?.startsWith('application/problem+json')) {
      const { detail, code }: { detail?: unknown; code?: unknown } = await response.json();
      if (typeof detail === 'string') {
        return { reason: detail, ...(typeof code === 'string' ? { code } : {}) };
      }
    }
  } catch {
    // Cut off, or not JSON after all: the status says enough.
  }
  return { reason: `the server answered ${response.status} ${response.statusText}`.trim() };
}
