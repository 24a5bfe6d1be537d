/** Whether a selector can be read: the server says, as it is the one that reads them. */

import { read } from '../../client/protocol/selector.ts';

/** Series that are looked at: more than a form says anything of. */
const MOST = 100;

/**
 * read: what it means now, the first of it and how many there are. wrong: why it can't be read, and behind how much of `text` it goes wrong;
 * null where that is no single place. untold: why the server didn't say.
 */
export type Verdict =
  | { readonly type: 'read'; readonly series: readonly Described[]; readonly total: number }
  | {
      readonly type: 'wrong';
      readonly reason: string;
      readonly text: string;
      readonly at: number | null;
    }
  | { readonly type: 'untold'; readonly reason: string };

export interface Described {
  readonly name: string;
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

/** What the server says of a selector. Rejects only where it is aborted. */
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
      return { type: 'untold', reason: why };
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

/** Whether this page, too, can tell which series a selector means, and so draw them. */
export function isDrawable(selector: string): boolean {
  return read(selector) !== null;
}

/** Where in JavaScript's text a place is that was counted in characters. */
function unitsOf(text: string, characters: number): number {
  return [...text].slice(0, characters).join('').length;
}
