/** What of a dashboard is shown, as its URL says it: that is what people share. */

export interface Address {
  /** Of the dashboard; null for all metrics. */
  readonly name: string | null;
  /** Only this panel, and nothing around it. */
  readonly panel: string | null;
  /** Without the bar. */
  readonly kiosk: boolean;
  /** To be changed rather than looked at. */
  readonly edit: boolean;
  /** `15m`; null for the dashboard's own. */
  readonly window: string | null;
  readonly values: Readonly<Record<string, string>>;
}

const VALUE = 'var-';

export function read({ pathname, search }: { pathname: string; search: string }): Address {
  const [, name = null] = /\/d\/([^/]+)$/.exec(pathname) ?? [];
  const query = new URLSearchParams(search);
  const panel = query.get('panel');
  return {
    name: name === null ? null : decodeURIComponent(name),
    panel,
    kiosk: query.has('kiosk') || panel !== null,
    edit: name !== null && panel === null && query.has('edit'),
    window: query.get('window'),
    values: Object.fromEntries(
      [...query]
        .filter(([key]) => key.startsWith(VALUE))
        .map(([key, value]) => [key.slice(VALUE.length), value]),
    ),
  };
}

export function write({ name, panel, kiosk, edit, window, values }: Address): string {
  const query = new URLSearchParams();
  if (window !== null) {
    query.set('window', window);
  }
  for (const [key, value] of Object.entries(values)) {
    query.set(`${VALUE}${key}`, value);
  }
  if (panel !== null) {
    query.set('panel', panel);
  } else if (kiosk) {
    query.set('kiosk', '');
  } else if (edit) {
    query.set('edit', '');
  }
  const text = query.toString();
  return `${name === null ? './' : `d/${encodeURIComponent(name)}`}${text && `?${text}`}`;
}
