/** Newest values beside each other, and as parts of their sum. */

import type { Member, Panel } from '../store/panel.ts';
import { latestOf } from '../store/rate.ts';

export interface Share {
  readonly member: Member;
  readonly value: number;
  readonly silent: boolean;
}

/** The newest values, highest first; those without one are left out. */
export function sharesAt({ members, raw }: Panel, now: number): readonly Share[] {
  return members
    .map((member) => ({
      member,
      value: latestOf(member.series, raw),
      silent: member.series.gone || member.series.isSilent(now),
    }))
    .filter(({ value }) => Number.isFinite(value))
    .sort((a, b) => b.value - a.value);
}

/** The parts of a circle, from the top clockwise, that values above zero take of their sum. */
export function partsOf(
  values: readonly number[],
): readonly { readonly from: number; readonly to: number }[] {
  const sum = values.reduce((all, value) => all + Math.max(0, value), 0);
  let at = 0;
  return values.map((value) => {
    const from = at;
    at += sum === 0 ? 0 : Math.max(0, value) / sum;
    return { from, to: at };
  });
}

/** The path of a part of a ring. */
export function ringPath(from: number, to: number, inner: number, outer: number): string {
  // A whole ring has no ends, between which an arc could be drawn.
  const end = Math.min(to, from + 0.99999);
  const point = (share: number, radius: number): string => {
    const angle = share * 2 * Math.PI - Math.PI / 2;
    return `${(radius * Math.cos(angle)).toFixed(3)} ${(radius * Math.sin(angle)).toFixed(3)}`;
  };
  const large = end - from > 0.5 ? 1 : 0;
  return [
    `M${point(from, outer)}`,
    `A${outer} ${outer} 0 ${large} 1 ${point(end, outer)}`,
    `L${point(end, inner)}`,
    `A${inner} ${inner} 0 ${large} 0 ${point(from, inner)}Z`,
  ].join('');
}
