/** Which lines of a panel are shown: all of them until the viewer chooses. */

import { type Signal, signal } from '@preact/signals';
import type { Labels } from '../client/index.ts';
import { write } from '../client/protocol/selector.ts';
import type { Member } from '../store/panel.ts';

/**
 * Either some lines are left out, or `only` some are shown. Lines are identified by their names.
 */
export interface Lines {
  readonly only: boolean;
  readonly names: ReadonlySet<string>;
}

/** By panel id. A panel that isn't in it shows all lines. */
export const lines: Signal<ReadonlyMap<string, Lines>> = signal(new Map());

/** A series in PromQL's form with its labels in order: equal for equal series. */
export function nameOf({
  name,
  labels,
}: {
  readonly name: string;
  readonly labels: Labels;
}): string {
  return write(name, labels);
}

export function isShown(panel: string, { series }: Member): boolean {
  const chosen = lines.value.get(panel);
  return chosen === undefined || chosen.names.has(nameOf(series)) === chosen.only;
}

/** Hide a line that is shown, or show one that is hidden. */
export function toggle(panel: string, member: Member): void {
  const { only, names } = lines.peek().get(panel) ?? { only: false, names: new Set() };
  const next = new Set(names);
  const name = nameOf(member.series);
  if (!next.delete(name)) {
    next.add(name);
  }
  keep(panel, { only, names: next });
}

/** Show a line alone, or all lines again if it is alone already. */
export function isolate(panel: string, member: Member): void {
  const before = lines.peek().get(panel);
  const name = nameOf(member.series);
  const alone = before?.only === true && before.names.size === 1 && before.names.has(name);
  keep(panel, { only: true, names: new Set(alone ? [] : [name]) });
}

export function showAll(panel: string): void {
  keep(panel, { only: false, names: new Set() });
}

function keep(panel: string, chosen: Lines): void {
  const next = new Map(lines.peek());
  // If no line is left out, or none is chosen, all are shown.
  if (chosen.names.size === 0) {
    next.delete(panel);
  } else {
    next.set(panel, chosen);
  }
  lines.value = next;
}
