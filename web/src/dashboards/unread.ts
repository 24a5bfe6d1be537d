/** Finds what the page ignores in its address. Loaded after the page is shown. */

/** Parameters that may be there once. */
const SINGLE = ['window', 'at', 'from', 'to', 'q', 'theme', 'panel', 'kiosk', 'edit'];
/** Parameters without a value. */
const PLAIN = ['kiosk', 'edit'];
/** Prefixes of parameters that name the lines of a panel; each may be there several times. */
const LINES = ['hide-', 'only-'];
const VALUE = 'var-';

/**
 * Sentences about parameters that are unknown, given twice, don't go with others, or have a value
 * where none is taken. Values that can't be read are told by `read`. `name` is that of the
 * dashboard; null on the page of all metrics.
 */
export function unread(search: string, name: string | null): string[] {
  const query = new URLSearchParams(search);
  const said = new Set<string>();
  const first = new Map<string, string>();
  for (const [key, value] of query) {
    if (key.startsWith(VALUE) && key !== VALUE) {
      if (name === null) {
        said.add(`${key} in the address is for dashboards: this is none.`);
      }
    } else if (!SINGLE.includes(key)) {
      if (!LINES.some((start) => key.startsWith(start))) {
        said.add(`${key} in the address means nothing to this page.`);
      }
    } else if (first.has(key)) {
      const counts = PLAIN.includes(key) ? 'once is enough' : `${key}=${first.get(key)} counts`;
      said.add(`${key} is in the address more than once: ${counts}.`);
    } else {
      first.set(key, value);
      if (PLAIN.includes(key) && !['', '1', 'true'].includes(value)) {
        said.add(
          `${key}=${value} in the address has a value, and takes none: it counts as ${key}.`,
        );
      }
    }
  }
  if (query.has('at') && (query.has('from') || query.has('to'))) {
    said.add('The address has both at, and from and to: the range counts.');
  }
  if (query.has('edit') && name === null) {
    said.add('edit in the address is for dashboards: this is none.');
  } else if (query.has('edit') && query.has('panel')) {
    said.add('edit in the address doesn’t go with panel: the panel is shown.');
  }
  return [...said];
}

/** Sentences about lines of panels that don't exist. */
export function unplaced(search: string, panels: readonly string[]): string[] {
  const said = new Set<string>();
  for (const [key] of new URLSearchParams(search)) {
    const start = LINES.find((one) => key.startsWith(one));
    const panel = key.slice(start?.length);
    if (start !== undefined && panel !== '' && !panels.includes(panel)) {
      said.add(`${key} in the address is of no panel that is here now.`);
    }
  }
  return [...said];
}
