/** What an address has that the page doesn't go by. Loaded once the page is shown. */

/** Parameters that are there once at the most. */
const SINGLE = ['window', 'at', 'from', 'to', 'q', 'theme', 'panel', 'kiosk', 'edit'];
/** Those that are there or not, whatever their value. */
const PLAIN = ['kiosk', 'edit'];
/** How the names begin of parameters with lines of panels, each of which is there for a line. */
const LINES = ['hide-', 'only-'];
const VALUE = 'var-';

/**
 * Says which parameters mean nothing, are there twice, don't go with others, or have a value where
 * none is taken: sentences for whoever followed the address. What can't be read of the others is said by `read`.
 * `name` is that of the dashboard; null for all metrics.
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

/** Says which lines are of panels that there aren't. */
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
