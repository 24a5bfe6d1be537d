/**
 * What is shown, as the URL that people share and that Back goes through. Defaults are left out.
 */

import type { Theme } from '../chart/theme.ts';
import { parseDuration } from '../client/index.ts';
import { decoded } from '../format/percent.ts';
import { formatSpan } from '../format/time.ts';
import type { Lines } from '../panels/shown.ts';
import { FARTHEST, isWindow, LEAST_WINDOW } from './windows.ts';

export interface Address {
  /** The name of the dashboard; null for all metrics. */
  readonly name: string | null;
  /** Show only this panel, with nothing around it. */
  readonly panel: string | null;
  /** Without the header. */
  readonly kiosk: boolean;
  /** Open in the editor. */
  readonly edit: boolean;
  /** In milliseconds; null for the default. */
  readonly window: number | null;
  /** Where the charts are held; null while they are live. */
  readonly held: Held | null;
  /** Null for the choice saved in this browser. */
  readonly theme: Theme | null;
  /** The search for panels. */
  readonly search: string;
  /** The choice of lines, by panel. */
  readonly lines: ReadonlyMap<string, Lines>;
  /** The values of a dashboard's variables. */
  readonly values: Readonly<Record<string, readonly string[]>>;
}

/** A time in the past, in Unix milliseconds. */
export interface Held {
  readonly to: number;
  /** The milliseconds shown before it; null for the window. */
  readonly span: number | null;
}

/** Prefixes of parameters that end with a name. */
const VALUE = 'var-';
const HIDDEN = 'hide-';
const ALONE = 'only-';

/** Reads an address. What can't be read is listed as sentences for the viewer. */
export function read(
  { pathname, search }: { pathname: string; search: string },
  now = Date.now(),
): Address & { readonly wrong: readonly string[] } {
  const [, name = null] = /\/d\/([^/]+)$/.exec(pathname) ?? [];
  const query = new URLSearchParams(search);
  const wrong: string[] = [];
  /** The meaning of a parameter. If it has none, the reason is noted, and it counts as left out. */
  const meant = <T>(key: string, meaning: (text: string) => T | null, expected: string) => {
    const text = query.get(key);
    const value = text === null ? null : meaning(text);
    if (text !== null && value === null) {
      wrong.push(`${key}=${text} in the address is not ${expected}.`);
    }
    return value;
  };
  const panel = query.get('panel');
  return {
    name: name === null ? null : decoded(name),
    panel,
    kiosk: query.has('kiosk') || panel !== null,
    edit: name !== null && panel === null && query.has('edit'),
    window: meant('window', windowOf, 'a span from 5s to 6h, such as 15m'),
    held: heldOf(query, meant, wrong, now),
    theme: meant('theme', themeOf, 'system, light or dark'),
    search: query.get('q') ?? '',
    lines: linesOf(query, wrong),
    values: Object.fromEntries(
      [...query.keys()]
        .filter((key) => key.startsWith(VALUE))
        .map((key) => [key.slice(VALUE.length), query.getAll(key)]),
    ),
    wrong,
  };
}

/** The reference to it, relative to the root of the service. */
export function write(address: Address): string {
  const { name, panel, kiosk, edit, window, held, theme, search, lines, values } = address;
  const query = new URLSearchParams();
  if (window !== null) {
    query.set('window', formatSpan(window));
  }
  if (held?.span === null) {
    query.set('at', momentOf(held.to));
  } else if (held !== null) {
    query.set('from', momentOf(held.to - held.span));
    query.set('to', momentOf(held.to));
  }
  for (const [key, chosen] of Object.entries(values)) {
    for (const value of chosen) {
      query.append(`${VALUE}${key}`, value);
    }
  }
  if (search !== '') {
    query.set('q', search);
  }
  for (const [of, { only, names }] of lines) {
    for (const line of names) {
      query.append(`${only ? ALONE : HIDDEN}${of}`, line);
    }
  }
  if (theme !== null) {
    query.set('theme', theme);
  }
  if (panel !== null) {
    query.set('panel', panel);
  } else if (kiosk) {
    query.set('kiosk', '');
  } else if (edit) {
    query.set('edit', '');
  }
  // Colons and commas are allowed in a query, and easier to read than their escapes.
  const text = query.toString().replaceAll('%3A', ':').replaceAll('%2C', ',');
  return `${name === null ? './' : `d/${encodeURIComponent(name)}`}${text && `?${text}`}`;
}

function windowOf(text: string): number | null {
  try {
    const ms = parseDuration(text);
    return isWindow(ms) ? ms : null;
  } catch {
    return null;
  }
}

function themeOf(text: string): Theme | null {
  return text === 'system' || text === 'light' || text === 'dark' ? text : null;
}

/** A time in RFC 3339 format, or in Unix milliseconds. */
function timeOf(text: string): number | null {
  const ms = /^\d{12,14}$/.test(text)
    ? Number(text)
    : /^\d{4}-\d\d-\d\d[T ].*(Z|[+-]\d\d:?\d\d)$/i.test(text)
      ? Date.parse(text)
      : Number.NaN;
  return Number.isNaN(ms) ? null : ms;
}

function momentOf(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

function heldOf(
  query: URLSearchParams,
  meant: <T>(key: string, meaning: (text: string) => T | null, expected: string) => T | null,
  wrong: string[],
  now: number,
): Held | null {
  const moment = 'a moment such as 2026-01-31T08:00:00Z';
  const at = meant('at', timeOf, moment);
  const from = meant('from', timeOf, moment);
  const to = meant('to', timeOf, moment);
  if ((from === null) !== (to === null)) {
    if (query.has('from') !== query.has('to')) {
      wrong.push('A range in the address takes both from and to.');
    }
    return null;
  }
  const held =
    from !== null && to !== null
      ? { to, span: to - from }
      : at !== null
        ? { to: at, span: null }
        : null;
  if (held === null) {
    return null;
  }
  const { span } = held;
  if (span !== null && !isWindow(span)) {
    wrong.push('from and to in the address are not from 5 seconds to 6 hours apart.');
    return null;
  }
  if (held.to > now + LEAST_WINDOW || held.to - (span ?? 0) < now - FARTHEST - LEAST_WINDOW) {
    const when = held.to > now ? 'still to come' : 'longer ago than the 6 hours that can be shown';
    wrong.push(`What the address shows is ${when}: this is live instead.`);
    return null;
  }
  return held;
}

function linesOf(query: URLSearchParams, wrong: string[]): Map<string, Lines> {
  const lines = new Map<string, Lines & { readonly names: Set<string> }>();
  for (const [key, line] of query) {
    const only = key.startsWith(ALONE);
    if (only || key.startsWith(HIDDEN)) {
      const panel = key.slice((only ? ALONE : HIDDEN).length);
      const before = lines.get(panel);
      if (panel === '' || line === '' || (before !== undefined && before.only !== only)) {
        wrong.push(`${key}=${line} in the address names no line, or contradicts another.`);
      } else if (before === undefined) {
        lines.set(panel, { only, names: new Set([line]) });
      } else {
        before.names.add(line);
      }
    }
  }
  return lines;
}
