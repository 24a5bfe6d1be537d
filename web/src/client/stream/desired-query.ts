/** What a stream is to show, and how much of that its cursor covers. */

import { HIDDEN_HZ } from '../links/timing.ts';
import type { Query, Watch } from '../protocol/documents.ts';
import type { Presence } from './presence.ts';

/**
 * A cursor covers selectors: everything before it has come of the series that they match. A
 * selector that is added to a live link is covered once its history has come. If the link breaks
 * before that, the next one asks for the covered selectors, from the cursor on, and then for the
 * added ones again.
 */
export class DesiredQuery {
  presence: Presence = 'full';
  /** Whether the cursor covers nothing that is still wanted, so that it is of no use. */
  coversNothing = false;
  /** What the cursor covers, unless that is nothing. */
  #covered: Query;
  /** What is to be shown. */
  #wanted: Query;
  /** The presence that the open link was last told of. */
  #askedPresence: Presence = 'full';
  /** The rate that the server grants where none is asked for, as far as is known. */
  #usualHz = 10;

  constructor(query: Query) {
    this.#covered = query;
    this.#wanted = query;
  }

  /** Selectors that are wanted, and whose history has not come. */
  get missing(): readonly string[] {
    return this.added(this.#wanted);
  }

  /** The selectors that a link is opened with. */
  get shown(): readonly string[] {
    return this.#covered.select ?? [];
  }

  /** Selectors that a query would add. */
  added(query: Query): readonly string[] {
    return this.coversNothing ? (query.select ?? []) : additions(this.#covered, query);
  }

  /** Replace the query, before anything has come. */
  replace(query: Query): void {
    this.coversNothing = false;
    this.#covered = query;
    this.#wanted = query;
  }

  /**
   * Change the query. What is left out is no longer covered; what is added will be when it has
   * come.
   */
  change(query: Query): void {
    if (this.added(query).length === 0) {
      this.#covered = query;
    } else {
      const kept = (this.#covered.select ?? []).filter((one) => query.select?.includes(one));
      this.coversNothing ||= kept.length === 0;
      this.#covered = { ...query, select: kept };
    }
    this.#wanted = query;
  }

  /** Of the missing selectors, `come` have their history up to the cursor; all if left out. */
  cover(come: readonly string[] = this.missing): void {
    const missing = this.missing.filter((one) => !come.includes(one));
    const { select } = this.#wanted;
    this.#covered =
      select === undefined || missing.length === 0
        ? this.#wanted
        : { ...this.#wanted, select: select.filter((one) => !missing.includes(one)) };
    this.coversNothing = false;
  }

  /** The query for the history of the missing selectors. */
  adding(): Query {
    return { ...this.#wanted, select: this.missing };
  }

  /** Stop asking for these selectors. */
  leaveOut(selectors: readonly string[]): void {
    const { select } = this.#wanted;
    if (select !== undefined) {
      this.#wanted = { ...this.#wanted, select: select.filter((one) => !selectors.includes(one)) };
    }
  }

  /** The query that a new link opens with. */
  opening(): Query {
    this.#askedPresence = this.presence;
    return this.presence === 'full'
      ? this.#covered
      : { ...this.#covered, maxHz: lowered(this.#covered.maxHz) };
  }

  /** The server granted this rate to the query that a link opened with. */
  granted(maxHz: number): void {
    if (this.#covered.maxHz === undefined && this.#askedPresence === 'full') {
      this.#usualHz = maxHz;
    }
  }

  /** Whether a link that has just opened shows something other than what is wanted by now. */
  get outdated(): boolean {
    return this.missing.length > 0 || this.#askedPresence !== this.presence;
  }

  /** The message for a live link. Its window is for the selectors that are added. */
  watch(): Watch {
    this.#askedPresence = this.presence;
    const { window, points, maxHz, select, step } = this.#wanted;
    const adding = this.missing.length > 0;
    return {
      type: 'watch',
      select: select ?? [],
      ...(adding && window !== undefined ? { window } : {}),
      ...(adding && window !== undefined && points !== undefined ? { points } : {}),
      max_hz: this.presence === 'full' ? (maxHz ?? this.#usualHz) : lowered(maxHz),
      ...(step === undefined ? {} : { step }),
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
