/** Dashboards as the service keeps them: `GET /v1/dashboards/schema.json`. */

import type { Panel } from '../panels/model.ts';

export interface Variable {
  readonly name: string;
  /** What stands before the choice; the name if left out. */
  readonly title?: string;
  /** Its values are those of this label, */
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
  /** How much of the past is shown at first. */
  readonly window?: string;
  /** How often its series have samples. */
  readonly interval?: string;
  readonly variables?: readonly Variable[];
  readonly panels: readonly Panel[];
}

/** saved: by somebody here. provisioned: from a directory that others keep. shipped: with pushsvc. */
export type Source = 'saved' | 'provisioned' | 'shipped';

/** What the service has under a name. */
export interface Loaded {
  readonly kept: Kept;
  /** Its version, for saving it only if it still is what was loaded. */
  readonly etag: string;
}

/** One of the listing; `error` where its file is none. */
export interface Entry {
  readonly name: string;
  readonly source: Source;
  readonly title?: string;
  readonly error?: string;
}

/** A dashboard that isn't there. */
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

/** Those that can be shown, and whether more can be saved. Throws an Error that says why not. */
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

/** Throws Missing where there is none, and an Error that says why not for anything else. */
export async function load(origin: URL, name: string): Promise<Loaded> {
  const { body, headers } = await get<Kept>(
    new URL(`v1/dashboards/${encodeURIComponent(name)}`, origin),
  );
  return { kept: body, etag: headers.get('ETag') ?? '' };
}
