/** Asks the server whether a selector can be read. */

import type { Kind } from '../../client/index.ts';
import { read } from '../../client/protocol/selector.ts';

/** The most series that are counted; the form tells no more. */
const MOST = 100;

/**
 * read: what it matches now, the first of these and their number. wrong: why it can't be read, and
 * after how much of `text`; null if there is no single place. failing: why it has no result now,
 * though it can be read. untold: why the server didn't say.
 */
export type Verdict =
  | { readonly type: 'read'; readonly series: readonly Described[]; readonly total: number }
  | {
      readonly type: 'wrong';
      readonly reason: string;
      readonly text: string;
      readonly at: number | null;
    }
  | { readonly type: 'failing' | 'untold'; readonly reason: string };

export interface Described {
  readonly name: string;
  readonly kind: Kind;
  readonly unit: string;
  readonly help: string;
}

interface Answer {
  readonly series?: readonly Described[];
  readonly total?: number;
  readonly detail?: string;
  readonly reason?: string;
  readonly position?: number;
}

/** What the server says about a selector. Rejects only if it is aborted. */
export async function check(origin: URL, selector: string, signal?: AbortSignal): Promise<Verdict> {
  const url = new URL('v1/series', origin);
  url.searchParams.set('select', selector);
  url.searchParams.set('values', 'false');
  url.searchParams.set('limit', String(MOST));
  try {
    const init = { headers: { Accept: 'application/json' }, ...(signal && { signal }) };
    const response = await fetch(url, init);
    const { series, total, detail, reason = detail, position } = (await response.json()) as Answer;
    if (series !== undefined) {
      return { type: 'read', series, total: total ?? series.length };
    }
    const why = reason ?? `the server answered ${response.status}`;
    if (response.status !== 400) {
      return { type: response.status === 422 ? 'failing' : 'untold', reason: why };
    }
    const at = position === undefined ? null : unitsOf(selector, position);
    return { type: 'wrong', reason: why, text: selector, at };
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    return { type: 'untold', reason: 'the server can’t be reached' };
  }
}

/** Whether this page can find the series of a selector, too, and so draw them. */
export function isDrawable(selector: string): boolean {
  return read(selector) !== null;
}

/** Converts a place counted in characters to an index in a JavaScript string. */
function unitsOf(text: string, characters: number): number {
  return [...text].slice(0, characters).join('').length;
}
