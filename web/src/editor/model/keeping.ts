/** Saves and deletes dashboards that others may be changing too, with `If-Match`. */

import type { Kept } from '../../dashboards/model.ts';
import { freeName } from '../../dashboards/names.ts';

/** The outcome. conflict: somebody else saved or deleted it first. */
export type Outcome =
  | { readonly type: 'saved'; readonly etag: string }
  | { readonly type: 'conflict' }
  | { readonly type: 'refused'; readonly reason: string };

/**
 * Save a dashboard if it still has the version `etag`, or, if that is null, if there is none of its
 * name.
 */
export function save(name: string, kept: Kept, etag: string | null): Promise<Outcome> {
  return ask(name, {
    method: 'PUT',
    headers: {
      'Content-Type': 'application/json',
      ...(etag === null ? { 'If-None-Match': '*' } : { 'If-Match': etag }),
    },
    body: JSON.stringify(kept),
  });
}

export function remove(name: string, etag: string): Promise<Outcome> {
  return ask(name, { method: 'DELETE', headers: { 'If-Match': etag } });
}

async function ask(name: string, init: RequestInit): Promise<Outcome> {
  try {
    const response = await fetch(`v1/dashboards/${encodeURIComponent(name)}`, init);
    if (response.ok) {
      return { type: 'saved', etag: response.headers.get('ETag') ?? '' };
    }
    if (response.status === 412) {
      return { type: 'conflict' };
    }
    const { detail } = (await response.json().catch(() => ({}))) as { detail?: string };
    return { type: 'refused', reason: detail ?? `the server answered ${response.status}` };
  } catch {
    return { type: 'refused', reason: 'the server can’t be reached; nothing was saved' };
  }
}

/** A valid name for a dashboard of this title. */
export function nameOf(title: string): string {
  return (
    title
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 64)
      .replace(/-+$/, '') || 'dashboard'
  );
}

/** A name or id that nothing else has. It leaves room for a number within the length of either. */
export function freeId(wanted: string, taken: Iterable<string>): string {
  return freeName(wanted.slice(0, 56), taken);
}

/** The pattern of valid names, for a form. */
export const NAME_PATTERN = '[a-z0-9]([a-z0-9\\-]{0,62}[a-z0-9])?';
