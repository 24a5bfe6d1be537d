import { read } from '../client/protocol/selector.ts';
import { Panel } from '../store/panel.ts';
import type { Panel as Description, Query } from './model.ts';

/** What of a panel's description says which series it shows, and how they are called. */
type Asked = Pick<Description, 'select' | 'legend' | 'also' | 'rate' | 'unit'>;

/** What a panel asks for; nothing where it is text. */
export function queriesOf({ select, legend, also = [] }: Asked): readonly Query[] {
  return select === undefined ? [] : [{ select, ...(legend && { legend }) }, ...also];
}

/**
 * The series that selectors and expressions match, as one group of lines; null for none, or if none
 * can't be read here (`isReadable`). It is `before` itself while no series was added or removed.
 */
export function select(
  panels: readonly Panel[],
  asked: Asked,
  before: Panel | null = null,
): Panel | null {
  const queries = queriesOf(asked).map(({ select, legend }) => ({ matches: read(select), legend }));
  const raw = asked.rate === false;
  const sources = new Set<Panel>();
  let group: Panel | null = null;
  const omitted = new Map<string, number>();
  for (const panel of panels) {
    for (const { series } of panel.members) {
      const query = queries.find(({ matches }) => matches?.(series.name, series.labels));
      if (query !== undefined) {
        // One axis has one unit: series with another unit than the first are left to another panel,
        // unless the panel says which unit all have.
        group ??= new Panel(series, sources, raw);
        if (
          (asked.unit !== undefined || group.unit === series.unit) &&
          (group.kind === series.kind || (raw && ![group.kind, series.kind].includes('state')))
        ) {
          group.add(series, query.legend);
          sources.add(panel);
        } else {
          const other = [series.kind, series.unit].filter(Boolean).join(' in ');
          omitted.set(other, (omitted.get(other) ?? 0) + 1);
        }
      }
    }
  }
  if (group !== null) {
    group.omitted = omitted;
    group.arrange();
  }
  return before !== null && group !== null && alike(before, group) ? before : group;
}

export function isReadable(selector: string): boolean {
  return read(selector) !== null;
}

function alike(a: Panel, b: Panel): boolean {
  return (
    a.key === b.key &&
    a.raw === b.raw &&
    `${[...a.omitted]}` === `${[...b.omitted]}` &&
    a.members.length === b.members.length &&
    a.members.every(
      ({ series, title }, index) =>
        series === b.members[index]!.series && title === b.members[index]!.title,
    ) &&
    [...b.sources].every((source) => a.sources.has(source))
  );
}
