import type { Format } from '../format/units.ts';
import { roundStep } from './splits.ts';

/** The y-axis: its ends and the step of its grid. */
export interface Extent {
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

const STEPS = 4;
/** The lowest value is far from zero if it is more than this share of the highest. */
const FAR = 0.6;
/** An axis spans at least this share of the highest value, */
const LEAST = 0.02;
/** or this many seconds if its values are moments, of which a share has no meaning. */
const LEAST_SECONDS = 200;

/**
 * An axis that fits values from `low` to `high` and stays still while it can.
 *
 * It ends on round numbers, grows at once and shrinks only when less than half of it is in use.
 * Zero is on it unless the values are far from zero, and a unit's own bounds are kept to.
 */
export function extentOf(
  low: number,
  high: number,
  format: Pick<Format, 'base' | 'bounds'>,
  before: Extent | null,
): Extent {
  if (!(low <= high)) {
    return before ?? { min: 0, max: 1, step: 0.25 };
  }
  const { bounds, base } = format;
  const magnitude = Math.max(Math.abs(low), Math.abs(high));
  const least = base === 60 ? LEAST_SECONDS : LEAST * magnitude;
  if (before !== null && fits(low, high, before, least)) {
    return before;
  }
  if (bounds !== null && low >= bounds[0] && high <= bounds[1] && high > bounds[1] / 4) {
    return { min: bounds[0], max: bounds[1], step: (bounds[1] - bounds[0]) / STEPS };
  }
  const far = base === 60 ? Number.NEGATIVE_INFINITY : FAR;
  let min = low > 0 && low > far * high ? low : Math.min(low, 0);
  let max = high < 0 && high < far * low ? high : Math.max(high, 0);
  const room = Math.max((least || (base === 1024 ? 4 : 1)) - (max - min), 0);
  if (room > 0) {
    // A flat line lies in the middle. A smaller change than `room` is drawn as flat, too.
    max += magnitude === 0 ? room : room / 2;
    min = min === 0 ? 0 : min - room / 2;
  }
  const step = roundStep((max - min) * 1.02, STEPS, base, magnitude);
  // Adding 0 turns -0 into 0.
  const floor = Math.floor(min / step + 1e-9);
  const ceiling = Math.ceil(max / step - 1e-9);
  return { min: floor * step + 0, max: Math.max(ceiling, floor + 1) * step + 0, step };
}

function fits(low: number, high: number, { min, max }: Extent, least: number): boolean {
  // If zero is on the axis, the space between it and the values counts as used.
  const used = Math.max(high, max === 0 ? 0 : high) - Math.min(low, min === 0 ? 0 : low);
  return low >= min && high <= max && (used >= (max - min) * 0.4 || max - min <= 3 * least);
}
