import type { Member, Panel } from './panel.ts';
import { latestOf, valueAt } from './rate.ts';

/** Lines up to which a panel shows all of them by name. */
export const FEW = 8;

/**
 * The members of a panel in the order of their importance.
 *
 * A few stay in the order of their labels. Of many, those that still get samples come first, the
 * highest value before the others.
 */
export function rank(panel: Panel, now: number): readonly Member[] {
  if (panel.members.length <= FEW) {
    return panel.members;
  }
  const weighed = panel.members.map((member) => ({
    member,
    quiet: member.series.gone || member.series.isSilent(now),
    value: panel.kind === 'state' ? 0 : latestOf(member.series, panel.raw),
  }));
  return weighed
    .sort(
      (a, b) =>
        Number(a.quiet) - Number(b.quiet) ||
        // No value is the least of all.
        (Number.isNaN(b.value) ? -1 : b.value) - (Number.isNaN(a.value) ? -1 : a.value),
    )
    .map(({ member }) => member);
}

/** The members that have a value at a time, and it; the highest first. */
export function rankAt(
  panel: Panel,
  time: number,
): { readonly member: Member; readonly value: number }[] {
  return panel.members
    .map((member) => ({ member, value: valueAt(member.series, time, panel.raw) }))
    .filter(({ value }) => !Number.isNaN(value))
    .sort((a, b) => b.value - a.value);
}
