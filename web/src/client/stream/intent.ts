/** What a stream is to show, and what of it its cursor is already true of. */

import { HIDDEN_HZ } from '../links/timing.ts';
import type { Query, Watch } from '../protocol/documents.ts';
import type { Presence } from './presence.ts';

/**
 * A cursor says of what was asked for that everything before it has come. Of selectors that are
 * added to a live link that is so only once their history has come: until then a link that is opened
 * anew asks for the old ones, from the cursor on, and then for the added ones again.
 */
export class Intent {
  presence: Presence = 'full';
  /** Whether the cursor is true of nothing that is still wanted, and hence of no use. */
  nothing = false;
  /** What the cursor is true of, unless that is nothing. */
  private settled: Query;
  /** What is to be shown. */
  private wanted: Query;
  /** What the open link was asked for under. */
  private askedPresence: Presence = 'full';
  /** The rate that the server grants who asks for none, as far as is known. */
  private usualHz = 10;

  constructor(query: Query) {
    this.settled = query;
    this.wanted = query;
  }

  /** Selectors that are wanted, and whose history has not come. */
  get missing(): readonly string[] {
    return this.added(this.wanted);
  }

  /** Selectors of what a link opens with. */
  get shown(): readonly string[] {
    return this.settled.select ?? [];
  }

  /** Selectors that a query would add. */
  added(query: Query): readonly string[] {
    return this.nothing ? (query.select ?? []) : additions(this.settled, query);
  }

  /** Want something else, which begins with the next link: nothing has come yet. */
  replace(query: Query): void {
    this.nothing = false;
    this.settled = query;
    this.wanted = query;
  }

  /** Want something else. What is left out is out at once, what is added is in when it has come. */
  change(query: Query): void {
    if (this.added(query).length === 0) {
      this.settled = query;
    } else {
      const kept = (this.settled.select ?? []).filter((one) => query.select?.includes(one));
      this.nothing ||= kept.length === 0;
      this.settled = { ...query, select: kept };
    }
    this.wanted = query;
  }

  /** All that is wanted has come up to the cursor; or of what was missing, these selectors. */
  settle(come: readonly string[] = this.missing): void {
    const missing = this.missing.filter((one) => !come.includes(one));
    const { select } = this.wanted;
    this.settled =
      select === undefined || missing.length === 0
        ? this.wanted
        : { ...this.wanted, select: select.filter((one) => !missing.includes(one)) };
    this.nothing = false;
  }

  /** What is asked for what is missing. */
  adding(): Query {
    return { ...this.wanted, select: this.missing };
  }

  /** Want these no more. */
  leaveOut(selectors: readonly string[]): void {
    const { select } = this.wanted;
    if (select !== undefined) {
      this.wanted = { ...this.wanted, select: select.filter((one) => !selectors.includes(one)) };
    }
  }

  /** What a new link asks for. */
  opening(): Query {
    this.askedPresence = this.presence;
    return this.presence === 'full'
      ? this.settled
      : { ...this.settled, maxHz: lowered(this.settled.maxHz) };
  }

  /** What the server granted to what a link opened with. */
  granted(maxHz: number): void {
    if (this.settled.maxHz === undefined && this.askedPresence === 'full') {
      this.usualHz = maxHz;
    }
  }

  /** Whether a link that has just opened shows something else than is wanted by now. */
  get outdated(): boolean {
    return this.missing.length > 0 || this.askedPresence !== this.presence;
  }

  /** What a live link is told. The window is that of what is added. */
  watch(): Watch {
    this.askedPresence = this.presence;
    const { window, points, maxHz, select } = this.wanted;
    const adding = this.missing.length > 0;
    return {
      type: 'watch',
      select: select ?? [],
      ...(adding && window !== undefined ? { window } : {}),
      ...(adding && window !== undefined && points !== undefined ? { points } : {}),
      max_hz: this.presence === 'full' ? (maxHz ?? this.usualHz) : lowered(maxHz),
    };
  }
}

function lowered(maxHz: number | undefined): number {
  return Math.min(maxHz ?? HIDDEN_HZ, HIDDEN_HZ);
}

/** Selectors of `to` that `from` does not have; none if `from` has every series. */
function additions(from: Query, to: Query): readonly string[] {
  const have = from.select ?? [];
  if (have.length === 0) {
    return [];
  }
  return (to.select ?? []).filter((selector) => !have.includes(selector));
}
