/** Asks only for the series of visible panels. It is loaded if there are many series. */

import { Sight } from '../dashboards/sight.ts';
import type { SeriesList } from './series-list.ts';

/** A panel is asked for once it has been in sight for this many milliseconds. */
const SIGHT_MS = 120;
/** Milliseconds between two requests for the list of series, or more if there are thousands. */
const LIST_MS = 4_000;
const LIST_MS_PER_SERIES = 4;

export class InSight {
  readonly #list: SeriesList;
  readonly #near: ReadonlyMap<string, number>;
  readonly #ask: (selectors: readonly string[]) => void;
  readonly #onListed: () => void;
  readonly #sight = new Sight();
  #looking: ReturnType<typeof setTimeout> | undefined;
  #listing: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** `near` has, for each metric, the number of its panels in or close to the visible area. */
  constructor(
    list: SeriesList,
    near: ReadonlyMap<string, number>,
    ask: (selectors: readonly string[]) => void,
    onListed: () => void,
  ) {
    this.#list = list;
    this.#near = near;
    this.#ask = ask;
    this.#onListed = onListed;
  }

  /** Ask for the series in sight. The others are known by name, and drawn when they come near. */
  begin(): void {
    this.#takeList();
    this.changed();
  }

  /** A panel came into sight, or left it. */
  changed(): void {
    clearTimeout(this.#looking);
    this.#looking = setTimeout(() => this.#askNear(), SIGHT_MS);
  }

  /** Stop asking for panels that left long ago. */
  beat(at: number): void {
    if (this.#sight.lingers(at)) {
      this.#askNear();
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#looking);
    clearTimeout(this.#listing);
  }

  #askNear(): void {
    this.#ask(this.#sight.selectors([...this.#near.keys()], Date.now()));
  }

  #takeList(): void {
    this.#onListed();
    this.#listAgain();
  }

  #listAgain(): void {
    this.#listAfter(Math.max(LIST_MS, LIST_MS_PER_SERIES * this.#list.all.length));
  }

  #listAfter(ms: number): void {
    if (this.#closed) {
      return;
    }
    clearTimeout(this.#listing);
    this.#listing = setTimeout(() => {
      if (document.visibilityState === 'hidden') {
        this.#listAfter(LIST_MS);
        return;
      }
      this.#list.fetch().then(
        (changed) => (changed && !this.#closed ? this.#takeList() : this.#listAgain()),
        () => this.#listAfter(LIST_MS),
      );
    }, ms);
  }
}
