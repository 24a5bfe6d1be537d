/** Saved dashboards, as described by `GET /v1/dashboards/schema.json`. */

import type { Panel } from '../panels/model.ts';

export interface Variable {
  readonly name: string;
  /** What stands before the choice; the name if left out. */
  readonly title?: string;
  /** The label whose values it can have, */
  readonly label?: string;
  /** among the series of this selector, */
  readonly select?: string;
  /** or they are these. */
  readonly values?: readonly string[];
  /** Whether several can be chosen at once, */
  readonly multi?: boolean;
  /** and whether all can. */
  readonly all?: boolean;
  /** The regular expression that stands for all, if that is another than what they make up. */
  readonly all_value?: string;
  /** What is chosen at first; the first value if left out. */
  readonly default?: readonly string[];
}

export interface Kept {
  readonly title: string;
  readonly description?: string;
  /** The window that is shown at first. */
  readonly window?: string;
  /** How often its series have samples. */
  readonly interval?: string;
  readonly variables?: readonly Variable[];
  readonly panels: readonly Panel[];
}

/**
 * saved: by a user of this service. provisioned: from a directory of its operator. shipped: with
 * pushsvc.
 */
export type Source = 'saved' | 'provisioned' | 'shipped';

/** The dashboard that the service has under a name. */
export interface Loaded {
  readonly kept: Kept;
  /** Its version, so that it is only saved over the version that was loaded. */
  readonly etag: string;
}

/** One entry of the list; `error` if its file is not a dashboard. */
export interface Entry {
  readonly name: string;
  readonly source: Source;
  readonly title?: string;
  readonly error?: string;
}

/** There is no dashboard of this name. */
export class Missing extends Error {}

async function get<T>(url: URL): Promise<{ body: T; headers: Headers }> {
  const response = await fetch(url, { headers: { Accept: 'application/json' }, cache: 'no-cache' });
  const body = (await response.json()) as T & { detail?: string; code?: string };
  if (!response.ok) {
    const reason = body.detail ?? `the server answered ${response.status}`;
    throw body.code === 'dashboard' ? new Missing(reason) : new Error(reason);
  }
  return { body, headers: response.headers };
}

/**
 * The list of dashboards, and whether more can be saved. Throws an Error that says why there is
 * none.
 */
export async function list(
  origin: URL,
): Promise<{ readonly entries: readonly Entry[]; readonly writable: boolean }> {
  const { body } = await get<{ dashboards: readonly Entry[]; writable: boolean }>(
    new URL('v1/dashboards', origin),
  );
  return {
    entries: body.dashboards.filter(({ error }) => error === undefined),
    writable: body.writable,
  };
}

/**
 * Load a dashboard. Throws Missing if there is none, or another Error that says why it can't be
 * loaded.
 */
export async function load(origin: URL, name: string): Promise<Loaded> {
  const { body, headers } = await get<Kept>(
    new URL(`v1/dashboards/${encodeURIComponent(name)}`, origin),
  );
  return { kept: body, etag: headers.get('ETag') ?? '' };
}
