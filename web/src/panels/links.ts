/** Addresses that a panel and its values lead to. */

import type { Labels } from '../client/index.ts';
import type { Link } from './model.ts';

/** What is filled into an address. */
export interface Filled {
  readonly labels: Labels;
  readonly name: string;
  readonly value: number;
  /** The time that is shown, in Unix milliseconds. */
  readonly from: number;
  readonly to: number;
}

/** A link that can be followed. */
export interface Lead {
  readonly title: string;
  readonly href: string;
  /** Whether it leads away from this service. */
  readonly away: boolean;
}

/**
 * Links with what is asked for filled in, as text within an address. One that leads to what is
 * neither http nor https is none.
 */
export function leadsOf(
  links: readonly Link[] | undefined,
  filled: Partial<Filled>,
  base: string,
): readonly Lead[] {
  return (links ?? []).flatMap(({ title, url }) => {
    const address = url.replace(/\{\{\s*(.*?)\s*\}\}/g, (_, key: string) =>
      encodeURIComponent(meant(key, filled)),
    );
    const at = parsed(address, base);
    return at === null
      ? []
      : [
          {
            title: title.replace(/\{\{\s*(.*?)\s*\}\}/g, (_, key: string) => meant(key, filled)),
            href: at.href,
            away: at.origin !== new URL(base).origin,
          },
        ];
  });
}

function meant(key: string, { labels = {}, name = '', value, from, to }: Partial<Filled>): string {
  switch (key) {
    case '__value':
      return value === undefined || !Number.isFinite(value) ? '' : String(value);
    case '__name':
      return name;
    case '__from':
      return from === undefined ? '' : String(Math.round(from));
    case '__to':
      return to === undefined ? '' : String(Math.round(to));
    default:
      return Object.hasOwn(labels, key) ? labels[key]! : '';
  }
}

function parsed(address: string, base: string): URL | null {
  try {
    const url = new URL(address, base);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url : null;
  } catch {
    return null;
  }
}
