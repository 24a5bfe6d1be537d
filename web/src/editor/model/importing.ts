/** Dashboards that were made with Grafana: the service makes ours of them. */

import type { Kept } from '../../dashboards/model.ts';

/** Something that the dashboard doesn't have of the file. */
export interface LeftOut {
  /** The panel or variable that it is of, or `dashboard`. */
  readonly where: string;
  readonly reason: string;
}

export interface Imported {
  readonly dashboard: Kept;
  /** How many the file has, and how many of these the dashboard. */
  readonly panels: number;
  readonly taken: number;
  readonly left_out: readonly LeftOut[];
}

/** What files of Grafana have, and none of ours. */
const MEMBERS = ['schemaVersion', 'templating', '__inputs', 'rows', 'apiVersion', 'elements'];

/** Whether this is a file of Grafana's; what is no JSON isn't. */
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

/** What the service makes of a file. Throws an Error that says why it makes nothing of it. */
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

/** What is left out, by where it is of, in the order of the file. */
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
