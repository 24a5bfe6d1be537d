/** What a panel's lines are at a moment. */

import type { Member, Panel } from '../store/panel.ts';
import { valueAt } from '../store/rate.ts';
import type { Series } from '../store/series.ts';
import { isShown } from './shown.ts';

export interface Reading {
  readonly member: Member;
  /** NaN where there is none. */
  readonly value: number;
  /** Why there is no value, or that it is the last for now; empty where all is well. */
  readonly state: '' | 'silent' | 'ended' | 'no sample';
}

/**
 * The lines that are shown, the highest value first; then those that have none, in their own order.
 * `now` is the newest time, of which it is known whether a source still sends.
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
  // Of what was before, the line itself says that it went on.
  const last = !(time < series.lastTime);
  if (last && series.ended) {
    return 'ended';
  }
  if (last && (series.gone || series.isSilent(now))) {
    return 'silent';
  }
  return Number.isNaN(value) ? 'no sample' : '';
}
