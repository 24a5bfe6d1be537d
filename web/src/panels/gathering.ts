import { read } from '../client/protocol/selector.ts';
import { printable } from '../format/printable.ts';
import { Panel } from '../store/panel.ts';
import type { Series } from '../store/series.ts';
import { type Dressed, dressed } from './dressing.ts';
import type { Panel as Description } from './model.ts';
import { queriesOf } from './selection.ts';

/** What of a panel's description says which series it shows, and how they are called. */
type Asked = Pick<Description, 'select' | 'legend' | 'also' | 'rate'> & Dressed;

/** What the lines of a group have of their own, as text. */
const dressings = new WeakMap<Panel, string>();

/**
 * The series that selectors and expressions match, as one group of lines; null for none, or if none
 * can't be read here (`isReadable`). It is `before` itself while no series was added or removed.
 */
export function select(
  panels: readonly Panel[],
  asked: Asked,
  before: Panel | null = null,
  /** Makes a colour one for the page. */
  tint: (colour: string) => string = String,
): Panel | null {
  const queries = queriesOf(asked).map(({ select, legend }) => ({ matches: read(select), legend }));
  const raw = asked.rate === false;
  const { lines, unit, decimals, mappings, data_links } = asked;
  // Who says the units of single lines has several of them on one axis.
  const mixed = unit !== undefined || (lines?.some((line) => line.unit !== undefined) ?? false);
  /** Series that fit on one axis, by what they have in common for that. */
  const fitting = new Map<string, (readonly [Panel, Series, number])[]>();
  const fit = ({ kind, unit }: Pick<Series, 'kind' | 'unit'>): string =>
    // Numbers without rates fit together, and so does what the panel says the unit of.
    `${raw && kind !== 'state' ? '' : kind} ${mixed ? '' : unit}`;
  for (const panel of panels) {
    for (const { series } of panel.members) {
      const query = queries.findIndex(({ matches }) => matches?.(series.name, series.labels));
      if (query >= 0) {
        const key = fit(series);
        const alike = fitting.get(key) ?? [];
        fitting.set(key, alike);
        alike.push([panel, series, query]);
      }
    }
  }
  // One axis has one unit: the commonest. What is drawn stays while it is nearly that, and what
  // doesn't fit on it is left to another panel.
  const held = before && fit(before);
  const weight = (key: string): number => fitting.get(key)!.length * (key === held ? 1.3 : 1);
  const commonest = [...fitting.keys()].reduce(
    (best, key) => (best !== null && weight(best) >= weight(key) ? best : key),
    null as string | null,
  );
  const sources = new Set<Panel>();
  let group: Panel | null = null;
  const queryOf = new Map<Series, number>();
  const omitted = new Map<string, number>();
  for (const [key, alike] of fitting) {
    // The axis is that of the first query, where others have units of their own.
    for (const [panel, series, query] of mixed ? alike.sort((a, b) => a[2] - b[2]) : alike) {
      if (key === commonest) {
        group ??= new Panel(series, sources, raw);
        group.add(series, queries[query]!.legend);
        queryOf.set(series, query + 1);
        sources.add(panel);
      } else {
        const other = [series.kind, series.unit].filter(Boolean).join(' in ');
        omitted.set(other, (omitted.get(other) ?? 0) + 1);
      }
    }
  }
  if (group !== null) {
    group.omitted = omitted;
    group.arrange();
    const { rate } = group;
    if (lines !== undefined || data_links !== undefined) {
      group.members = group.members.map((member) => {
        const one = dressed(member, queryOf.get(member.series)!, asked, rate, tint);
        return { ...one, title: printable(one.title) };
      });
      dressings.set(group, JSON.stringify([lines, unit, decimals, mappings, data_links]));
    }
  }
  return before !== null && group !== null && alike(before, group) ? before : group;
}

function alike(a: Panel, b: Panel): boolean {
  return (
    a.key === b.key &&
    a.raw === b.raw &&
    dressings.get(a) === dressings.get(b) &&
    `${[...a.omitted]}` === `${[...b.omitted]}` &&
    a.members.length === b.members.length &&
    a.members.every(
      ({ series, title }, index) =>
        series === b.members[index]!.series && title === b.members[index]!.title,
    ) &&
    [...b.sources].every((source) => a.sources.has(source))
  );
}
