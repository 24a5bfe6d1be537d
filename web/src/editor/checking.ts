/** Whether a selector can be read: the server says, as it is the one that reads them. */

import { read } from '../client/selector.ts';
import type { Named } from './completion.ts';

/**
 * read: what it means now. wrong: why it can't be read, and behind how much of `text` it goes wrong;
 * null where that is no single place. untold: why the server didn't say.
 */
export type Verdict =
  | { readonly type: 'read'; readonly series: readonly Described[] }
  | {
      readonly type: 'wrong';
      readonly reason: string;
      readonly text: string;
      readonly at: number | null;
    }
  | { readonly type: 'untold'; readonly reason: string };

export interface Described extends Named {
  readonly unit: string;
  readonly help: string;
}

interface Answer {
  readonly series?: readonly Described[];
  readonly detail?: string;
  readonly reason?: string;
  readonly position?: number;
}

/** What the server says of a selector. Rejects only where it is aborted. */
export async function check(origin: URL, selector: string, signal?: AbortSignal): Promise<Verdict> {
  const url = new URL('v1/series', origin);
  url.searchParams.set('select', selector);
  try {
    const init = { headers: { Accept: 'application/json' }, ...(signal && { signal }) };
    const response = await fetch(url, init);
    const { series, detail, reason = detail, position } = (await response.json()) as Answer;
    if (series !== undefined) {
      return { type: 'read', series };
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

/** All series, for offering their names; none where they can't be had. */
export async function allSeries(origin: URL): Promise<readonly Named[]> {
  try {
    const response = await fetch(new URL('v1/series', origin), {
      headers: { Accept: 'application/json' },
    });
    return ((await response.json()) as Answer).series ?? [];
  } catch {
    return [];
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
