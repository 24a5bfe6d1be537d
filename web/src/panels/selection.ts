import { read } from '../client/protocol/selector.ts';
import { Panel } from '../store/panel.ts';

/**
 * The series that a selector matches, as one group of lines; null for none, or if the selector
 * can't be read here (`isReadable`). It is `before` itself while no series was added or removed.
 */
export function select(
  panels: readonly Panel[],
  selector: string,
  before: Panel | null = null,
  raw = false,
): Panel | null {
  const matches = read(selector);
  if (matches === null) {
    return null;
  }
  const sources = new Set<Panel>();
  let group: Panel | null = null;
  const omitted = new Map<string, number>();
  for (const panel of panels) {
    for (const { series } of panel.members) {
      if (matches(series.name, series.labels)) {
        // One axis has one unit: series with another unit than the first are left to another panel.
        group ??= new Panel(series, sources, raw);
        if (group.unit === series.unit && group.kind === series.kind) {
          group.add(series);
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
    a.members.every(({ series }, index) => series === b.members[index]!.series) &&
    [...b.sources].every((source) => a.sources.has(source))
  );
}
