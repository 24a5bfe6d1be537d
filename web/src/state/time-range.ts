/** The span of time that the charts show, live or held: zooming and looking back. */

import { batch, computed, type Signal, signal } from '@preact/signals';
import { recall, remember } from '../browser/settings.ts';
import type { Address } from '../dashboards/address.ts';
import { FARTHEST, isWindow, LEAST_WINDOW, WINDOWS } from '../dashboards/windows.ts';
import type { Store } from '../store/store.ts';
import type { Clock } from './clock.ts';

const DEFAULT_WINDOW = 15 * 60_000;
/** Milliseconds that a producer's clock may be ahead. The server accepts no more either. */
const AHEAD_MS = 600_000;
/** The most zooms that are remembered. */
const MOST_ZOOMS = 50;

/** A span of time that is shown: held at its end, or live if `end` is null. */
interface Shown {
  readonly heldAt: number | null;
  readonly windowMs: number;
}

/** What is called after a change of the span. */
interface Actions {
  /** All charts show another time. */
  redraw(): void;
  /** This many milliseconds of the past are shown; `exactly` if it is not about to become more. */
  reachBack(ms: number, exactly: boolean): void;
}

export class TimeRange {
  /** The time for texts, updated twice a second, in Unix milliseconds by the server's clock. */
  readonly now: Signal<number>;
  /** The length of the span that is shown, in milliseconds. */
  readonly windowMs: Signal<number>;
  /** Its length while live, kept while something is zoomed into. */
  readonly liveMs: Signal<number>;
  /** Whether the viewer chose that length. */
  readonly chosen: Signal<boolean>;
  /** The length if the viewer has not chosen one; null to fit the data. */
  readonly usual: Signal<number | null> = signal(null);
  /** Whether the current change continues the last zoom. */
  rezooming = false;
  /** The spans that were shown before each zoom. */
  readonly zooms: Signal<readonly Shown[]> = signal([]);
  /**
   * Where the right edge is held, in Unix milliseconds; null while it follows the newest samples.
   */
  readonly heldAt: Signal<number | null> = signal(null);
  /** The number of samples that arrived since the charts are held. */
  readonly newSamples = signal(0);
  /** The milliseconds of the past that are shown at first. */
  readonly firstMs: number;
  readonly #clock: Clock;
  readonly #store: Store;
  readonly #actions: Actions;
  /** Whether the window was chosen in this visit or by the address. */
  #picked: boolean;
  #heldSamples = 0;

  constructor(
    { window, held }: Pick<Address, 'window' | 'held'>,
    clock: Clock,
    store: Store,
    actions: Actions,
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#actions = actions;
    const chosen = window ?? rememberedWindow();
    this.chosen = signal(chosen !== null);
    this.#picked = window !== null;
    this.liveMs = signal(chosen ?? WINDOWS[1]!.ms);
    this.windowMs = signal(held?.span ?? this.liveMs.value);
    const now = clock.now();
    this.heldAt.value = held === null ? null : held.to;
    const back = held === null ? 0 : now - held.to;
    const shown = chosen === null ? DEFAULT_WINDOW : this.windowMs.value;
    this.firstMs = Math.min(FARTHEST, Math.max(this.windowMs.value, shown) + back);
    this.now = signal(held?.to ?? now);
  }

  /** The right edge of all charts: where they are held, else now. */
  get edge(): number {
    return this.heldAt.peek() ?? this.liveEdge;
  }

  /** Now, or a little later for a producer whose clock is ahead. */
  get liveEdge(): number {
    const now = this.#clock.now();
    const { newest } = this.#store;
    return newest > now && newest < now + AHEAD_MS ? newest : now;
  }

  /** Hold the charts where they are. Samples keep arriving and are counted. */
  pause(): void {
    this.#hold(this.edge);
  }

  /** Follow the newest samples again, in the window that was shown before. */
  resume(): void {
    batch(() => {
      this.zooms.value = [];
      this.windowMs.value = this.liveMs.peek();
      this.heldAt.value = null;
      this.newSamples.value = 0;
      this.#refresh();
    });
  }

  /** Whether another span than the window is shown. */
  readonly zoomed = computed<boolean>(
    () => this.heldAt.value !== null && this.windowMs.value !== this.liveMs.value,
  );

  /**
   * Move the picture by this many milliseconds, back in time if negative. At the present it becomes
   * live again.
   */
  shift(ms: number): void {
    const edge = this.edge + ms;
    if (edge >= this.liveEdge && !this.zoomed.peek()) {
      this.resume();
    } else {
      this.#hold(edge);
    }
  }

  /** Show exactly the span between two times, and hold it. */
  zoom(from: number, to: number): void {
    batch(() => {
      const before = { heldAt: this.heldAt.peek(), windowMs: this.windowMs.peek() };
      this.zooms.value = [...this.zooms.peek(), before].slice(-MOST_ZOOMS);
      this.#span(from, to);
    });
  }

  /** Change the last zoom, so that it remains one step to go back. */
  rezoom(from: number, to: number): void {
    this.rezooming = true;
    batch(() => this.#span(from, to));
    this.rezooming = false;
  }

  #span(from: number, to: number): void {
    this.windowMs.value = Math.min(FARTHEST, Math.max(LEAST_WINDOW, Math.round(to - from)));
    this.#hold(Math.max(to, from + LEAST_WINDOW));
  }

  /** Show what was shown before the last zoom; returns false if there was none. */
  zoomOut(): boolean {
    if (!this.zoomed.peek()) {
      return false;
    }
    const before = this.zooms.peek().at(-1);
    const { heldAt = null, windowMs = this.liveMs.peek() } = before ?? {};
    if (heldAt === null) {
      this.resume();
    } else {
      batch(() => {
        this.zooms.value = this.zooms.peek().slice(0, -1);
        this.windowMs.value = windowMs;
        this.#hold(heldAt);
      });
    }
    return true;
  }

  /** Show the span that an address names. */
  look({ window, held }: Pick<Address, 'window' | 'held'>): void {
    batch(() => {
      this.chosen.value = window !== null;
      this.#picked = window !== null;
      this.liveMs.value = window ?? this.usual.peek() ?? WINDOWS[1]!.ms;
      this.fit();
      this.zooms.value = [];
      if (held === null) {
        this.resume();
      } else {
        this.windowMs.value = held.span ?? this.liveMs.peek();
        this.#hold(held.to);
      }
    });
    this.#actions.reachBack(this.liveEdge - this.edge + this.windowMs.peek(), false);
  }

  /** Set the window of a dashboard, which applies if nobody chose another. */
  suggest(windowMs: number): void {
    batch(() => {
      this.usual.value = windowMs;
      if (!this.#picked) {
        this.chosen.value = false;
        this.#widen(windowMs);
      }
    });
  }

  #hold(edge: number): void {
    const live = this.liveEdge;
    const span = this.windowMs.peek();
    if (this.heldAt.peek() === null) {
      this.#heldSamples = this.#store.published;
    }
    this.heldAt.value = Math.round(Math.min(live, Math.max(edge, live - FARTHEST + span)));
    this.#actions.reachBack(live - this.edge + span, false);
    this.#refresh();
  }

  #refresh(): void {
    this.now.value = this.edge;
    this.#actions.redraw();
  }

  /**
   * Show another window, and remember that choice. What is missing is fetched from the server's
   * history.
   */
  choose(windowMs: number): void {
    const ms = Math.round(windowMs / 1000) * 1000;
    remember('pushsvc.window', String(ms));
    this.#picked = true;
    batch(() => {
      this.chosen.value = true;
      this.zooms.value = [];
      this.windowMs.value = ms;
      this.#widen(ms);
    });
  }

  /** Set the window, at once unless something is zoomed into. */
  #widen(windowMs: number): void {
    const follows = !this.zoomed.peek();
    this.liveMs.value = windowMs;
    if (follows) {
      this.windowMs.value = windowMs;
    }
    this.#actions.redraw();
    const back = this.liveEdge - this.edge + this.windowMs.peek();
    this.#actions.reachBack(back, true);
  }

  /**
   * Widen the window to the data there is, up to the default, so that the charts of a young server
   * are full, too.
   */
  fit(): void {
    if (this.chosen.peek() || this.usual.peek() !== null) {
      return;
    }
    const span = this.liveEdge - this.#store.oldest;
    const fitting = WINDOWS.find(({ ms }) => span <= ms * 1.05)?.ms ?? DEFAULT_WINDOW;
    const wider = Math.min(fitting, DEFAULT_WINDOW);
    if (wider > this.liveMs.peek()) {
      batch(() => {
        this.liveMs.value = wider;
        if (this.heldAt.peek() === null) {
          this.windowMs.value = wider;
        }
      });
    }
  }

  /** Time passes, and samples arrive. */
  beat(): void {
    this.now.value = this.edge;
    if (this.heldAt.value !== null) {
      this.newSamples.value = this.#store.published - this.#heldSamples;
    }
  }
}

function rememberedWindow(): number | null {
  const ms = Number(recall('pushsvc.window'));
  return isWindow(ms) ? ms : null;
}
