/** Imports dashboards of Grafana, which the service converts. */

import type { Kept } from '../../dashboards/model.ts';

/** Something in the file that the dashboard doesn't have. */
export interface LeftOut {
  /** The title of the panel or variable that it belongs to, or `dashboard`. */
  readonly where: string;
  readonly reason: string;
}

export interface Imported {
  readonly dashboard: Kept;
  /** How many panels the file has, and `taken`: how many of them the dashboard has. */
  readonly panels: number;
  readonly taken: number;
  readonly left_out: readonly LeftOut[];
}

/** Members of Grafana's files that files of this service don't have. */
const MEMBERS = ['schemaVersion', 'templating', '__inputs', 'rows', 'apiVersion', 'elements'];

/** Whether this is a file of Grafana. A text that isn't JSON is none. */
export function isForeign(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) {
      return false;
    }
    const { dashboard, panels } = value as { dashboard?: unknown; panels?: unknown };
    return (
      MEMBERS.some((name) => name in value) ||
      typeof dashboard === 'object' ||
      (Array.isArray(panels) && panels.some((panel) => typeof panel?.type === 'string'))
    );
  } catch {
    return false;
  }
}

/** The dashboard that the service makes of a file. Throws an Error that says why it makes none. */
export async function convert(text: string): Promise<Imported> {
  const response = await fetch('v1/dashboards/import', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
    body: text,
  });
  const body = (await response.json()) as Imported & { readonly detail?: string };
  if (!response.ok) {
    throw new Error(body.detail ?? `the server answered ${response.status}`);
  }
  return body;
}

/** The reasons of what was left out, by the panel or variable, in the order of the file. */
export function byPlace(left: readonly LeftOut[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const { where, reason } of left) {
    const reasons = found.get(where);
    if (reasons === undefined) {
      found.set(where, [reason]);
    } else {
      reasons.push(reason);
    }
  }
  return found;
}
