import type { Member, Panel } from './panel.ts';
import { latestOf, valueAt } from './rate.ts';

/** A panel with at most this many lines names all of them. */
export const FEW = 8;

/** How long an order is kept, in milliseconds by the times of samples. */
const KEPT_MS = 5_000;
/** A line moves before its neighbour if its value is higher by this share of the greater one. */
const CLEARLY = 0.1;

interface Order {
  readonly members: readonly Member[];
  ranked: readonly Member[];
  at: number;
  /** Means of the latest values: one spike doesn't change the order. */
  readonly means: Map<Member['series'], number>;
}

const orders = new WeakMap<Panel, Order>();
/** Panels under the pointer, whose order doesn't change. */
const held = new WeakSet<Panel>();

/** Keep a panel's order while the pointer is over it. */
export function holdOrder(panel: Panel, hold: boolean): void {
  if (hold) {
    held.add(panel);
  } else {
    held.delete(panel);
  }
}

/**
 * The members of a panel by importance.
 *
 * A few lines stay in the order of their labels. Of many, those that still receive samples come
 * first, ordered by value with the highest first. The order is kept until it is clearly wrong,
 * because lines with near values would otherwise change places all the time.
 */
export function rank(panel: Panel, now: number): readonly Member[] {
  return panel.members.length <= FEW ? panel.members : rankAll(panel, now);
}

/** The same for any number of members, for panels that list all of them by value. */
export function rankAll(panel: Panel, now: number): readonly Member[] {
  const order = orders.get(panel);
  if (order !== undefined && order.members === panel.members && !firstHeard(order, panel)) {
    if (held.has(panel) || Math.abs(now - order.at) < KEPT_MS) {
      return order.ranked;
    }
    weigh(order, panel);
    order.ranked = settled(order, now);
    order.at = now;
    return order.ranked;
  }
  const fresh: Order = {
    members: panel.members,
    ranked: panel.members,
    at: now,
    means: order?.means ?? new Map(),
  };
  weigh(fresh, panel);
  const value = ({ series }: Member): number => meanOf(fresh.means, series);
  fresh.ranked = [...panel.members].sort(
    (a, b) => Number(isQuiet(a, now)) - Number(isQuiet(b, now)) || value(b) - value(a),
  );
  orders.set(panel, fresh);
  return fresh.ranked;
}

function isQuiet({ series }: Member, now: number): boolean {
  return series.gone || series.isSilent(now);
}

function weigh({ means }: Order, panel: Panel): void {
  for (const { series } of panel.members) {
    const value = latestValue(series, panel);
    if (Number.isNaN(value)) {
      means.delete(series);
    } else {
      const mean = means.get(series);
      means.set(series, mean === undefined ? value : mean + (value - mean) / 2);
    }
  }
}

function latestValue(series: Member['series'], panel: Panel): number {
  return panel.kind === 'state' ? 0 : latestOf(series, panel.raw);
}

/** Series without a value come last. */
function meanOf(means: Order['means'], series: Member['series']): number {
  return means.get(series) ?? -1;
}

/**
 * Whether a series received its first value since the order was made. The first values come in
 * several documents.
 */
function firstHeard({ means }: Order, panel: Panel): boolean {
  return (
    means.size < panel.members.length &&
    panel.members.some(
      ({ series }) => !means.has(series) && !Number.isNaN(latestValue(series, panel)),
    )
  );
}

/** The former order, except that members which are clearly out of place are moved. */
function settled({ ranked, means }: Order, now: number): Member[] {
  const order = [...ranked];
  const quiet = new Map(order.map((member) => [member, isQuiet(member, now)]));
  const mean = ({ series }: Member): number => meanOf(means, series);
  const before = (a: Member, b: Member, share: number): boolean => {
    if (quiet.get(a) !== quiet.get(b)) {
      return quiet.get(b)!;
    }
    const [one, other] = [mean(a), mean(b)];
    return one - other > share * Math.max(Math.abs(one), Math.abs(other));
  };
  // Lines with near values keep their places. Many small differences add up to a large one, so each
  // member is compared with the least value above it.
  let least = order[0];
  for (let at = 1; at < order.length; at += 1) {
    const member = order[at]!;
    if (before(member, least!, CLEARLY)) {
      const to = order.findIndex((other) => before(member, other, CLEARLY));
      order.splice(at, 1);
      order.splice(to, 0, member);
    } else if (before(least!, member, 0)) {
      least = member;
    }
  }
  return order;
}

/** The members that have a value at a time, with that value, highest first. */
export function rankAt(
  panel: Panel,
  time: number,
): { readonly member: Member; readonly value: number }[] {
  return panel.members
    .map((member) => ({ member, value: valueAt(member.series, time, panel.raw) }))
    .filter(({ value }) => !Number.isNaN(value))
    .sort((a, b) => b.value - a.value);
}
