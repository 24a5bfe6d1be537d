/** The values of a panel's lines at a time. */

import type { Member, Panel } from '../store/panel.ts';
import { valueAt } from '../store/rate.ts';
import type { Series } from '../store/series.ts';
import { isShown } from './shown.ts';

export interface Reading {
  readonly member: Member;
  /** NaN if there is none. */
  readonly value: number;
  /** Why there is no value, or that it is the last one for now; empty if neither. */
  readonly state: '' | 'silent' | 'ended' | 'no sample';
}

/**
 * The lines that are shown, highest value first; then those without a value, in their own order.
 * `now` is the newest time, at which it is known whether a source still sends.
 */
export function readingsAt(id: string, panel: Panel, time: number, now: number): Reading[] {
  return panel.members
    .filter((member) => isShown(id, member))
    .map((member) => {
      const { series } = member;
      const value = valueAt(series, time, panel.raw);
      return { member, value, state: stateOf(series, value, time, now) };
    })
    .sort(
      (a, b) =>
        Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value)) || b.value - a.value || 0,
    );
}

function stateOf(series: Series, value: number, time: number, now: number): Reading['state'] {
  // Before that, a later point of the line shows that it went on.
  const last = !(time < series.lastTime);
  if (last && series.ended) {
    return 'ended';
  }
  if (last && (series.gone || series.isSilent(now))) {
    return 'silent';
  }
  return Number.isNaN(value) ? 'no sample' : '';
}
