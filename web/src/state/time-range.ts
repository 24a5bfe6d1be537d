/** The span of time that the charts show: live, or held. Zooming and looking back. */

import { batch, computed, type Signal, signal } from '@preact/signals';
import { recall, remember } from '../browser/settings.ts';
import type { Address } from '../dashboards/address.ts';
import { FARTHEST, isWindow, LEAST_WINDOW, WINDOWS } from '../dashboards/windows.ts';
import type { Store } from '../store/store.ts';
import type { Clock } from './clock.ts';

const DEFAULT_WINDOW = 15 * 60_000;
/** Milliseconds that a producer's clock may be ahead; the server accepts no more either. */
const AHEAD_MS = 600_000;
/** The most zooms that are remembered. */
const MOST_ZOOMS = 50;

/** A span of time as it is shown: held at its end, or live where that is null. */
interface Shown {
  readonly heldAt: number | null;
  readonly windowMs: number;
}

/** What a change of the span leads to. */
interface Actions {
  /** All charts show another time. */
  redraw(): void;
  /**
   * So many milliseconds of the past are shown; `exactly` where it will not be more in a moment.
   */
  reachBack(ms: number, exactly: boolean): void;
}

export class TimeRange {
  /** The time that texts show, updated twice a second. Unix milliseconds of the server. */
  readonly now: Signal<number>;
  /** How much time is shown, in milliseconds. */
  readonly windowMs: Signal<number>;
  /** How much is shown while it is live, also while something is zoomed into. */
  readonly liveMs: Signal<number>;
  /** Whether the viewer chose that. */
  readonly chosen: Signal<boolean>;
  /** What it is if the viewer has not chosen; null to fit the data. */
  readonly usual: Signal<number | null> = signal(null);
  /** Whether the current change continues the last zoom. */
  rezooming = false;
  /** What was shown before each zoom. */
  readonly zooms: Signal<readonly Shown[]> = signal([]);
  /** Where the right edge is held, in Unix milliseconds; null while it follows the newest. */
  readonly heldAt: Signal<number | null> = signal(null);
  /** Samples that came in since the charts are held. */
  readonly newSamples = signal(0);
  /** How far back is shown at first, in milliseconds. */
  readonly firstMs: number;
  private readonly clock: Clock;
  private readonly store: Store;
  private readonly actions: Actions;
  /** Whether the window was chosen in this visit, or by the address. */
  private picked: boolean;
  private heldSamples = 0;

  constructor(
    { window, held }: Pick<Address, 'window' | 'held'>,
    clock: Clock,
    store: Store,
    actions: Actions,
  ) {
    this.clock = clock;
    this.store = store;
    this.actions = actions;
    const chosen = window ?? rememberedWindow();
    this.chosen = signal(chosen !== null);
    this.picked = window !== null;
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

  /** Now, or a little later for a producer that is ahead. */
  get liveEdge(): number {
    const now = this.clock.now();
    const { newest } = this.store;
    return newest > now && newest < now + AHEAD_MS ? newest : now;
  }

  /** Hold the charts where they are. Data keeps arriving, and is counted. */
  pause(): void {
    this.hold(this.edge);
  }

  /** Let the charts follow the newest samples again, in the window they had. */
  resume(): void {
    batch(() => {
      this.zooms.value = [];
      this.windowMs.value = this.liveMs.peek();
      this.heldAt.value = null;
      this.newSamples.value = 0;
      this.refresh();
    });
  }

  /** Whether another span than the window is shown. */
  readonly zoomed = computed<boolean>(
    () => this.heldAt.value !== null && this.windowMs.value !== this.liveMs.value,
  );

  /**
   * Move the picture by so many milliseconds: back in time if negative. At now it is live again.
   */
  shift(ms: number): void {
    const edge = this.edge + ms;
    if (edge >= this.liveEdge && !this.zoomed.peek()) {
      this.resume();
    } else {
      this.hold(edge);
    }
  }

  /** Show just the time between two times, and hold it there. */
  zoom(from: number, to: number): void {
    batch(() => {
      const before = { heldAt: this.heldAt.peek(), windowMs: this.windowMs.peek() };
      this.zooms.value = [...this.zooms.peek(), before].slice(-MOST_ZOOMS);
      this.span(from, to);
    });
  }

  /** Continue a zoom, which remains one step to go back. */
  rezoom(from: number, to: number): void {
    this.rezooming = true;
    batch(() => this.span(from, to));
    this.rezooming = false;
  }

  private span(from: number, to: number): void {
    this.windowMs.value = Math.min(FARTHEST, Math.max(LEAST_WINDOW, Math.round(to - from)));
    this.hold(Math.max(to, from + LEAST_WINDOW));
  }

  /** Show what was shown before it was zoomed into; false where nothing was. */
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
        this.hold(heldAt);
      });
    }
    return true;
  }

  /** Show the time that an address says. */
  look({ window, held }: Pick<Address, 'window' | 'held'>): void {
    batch(() => {
      this.chosen.value = window !== null;
      this.picked = window !== null;
      this.liveMs.value = window ?? this.usual.peek() ?? WINDOWS[1]!.ms;
      this.fit();
      this.zooms.value = [];
      if (held === null) {
        this.resume();
      } else {
        this.windowMs.value = held.span ?? this.liveMs.peek();
        this.hold(held.to);
      }
    });
    this.actions.reachBack(this.liveEdge - this.edge + this.windowMs.peek(), false);
  }

  /** The window that a dashboard has where nobody chooses another. */
  suggest(windowMs: number): void {
    batch(() => {
      this.usual.value = windowMs;
      if (!this.picked) {
        this.chosen.value = false;
        this.widen(windowMs);
      }
    });
  }

  private hold(edge: number): void {
    const live = this.liveEdge;
    const span = this.windowMs.peek();
    if (this.heldAt.peek() === null) {
      this.heldSamples = this.store.published;
    }
    this.heldAt.value = Math.round(Math.min(live, Math.max(edge, live - FARTHEST + span)));
    this.actions.reachBack(live - this.edge + span, false);
    this.refresh();
  }

  private refresh(): void {
    this.now.value = this.edge;
    this.actions.redraw();
  }

  /**
   * Show another window, and keep that choice. What is missing of it is asked of the server's
   * history.
   */
  choose(windowMs: number): void {
    const ms = Math.round(windowMs / 1000) * 1000;
    remember('pushsvc.window', String(ms));
    this.picked = true;
    batch(() => {
      this.chosen.value = true;
      this.zooms.value = [];
      this.windowMs.value = ms;
      this.widen(ms);
    });
  }

  /** Have the window be another one, at once unless something is zoomed into. */
  private widen(windowMs: number): void {
    const follows = !this.zoomed.peek();
    this.liveMs.value = windowMs;
    if (follows) {
      this.windowMs.value = windowMs;
    }
    this.actions.redraw();
    const back = this.liveEdge - this.edge + this.windowMs.peek();
    this.actions.reachBack(back, true);
  }

  /** Widen the window to what there is, up to the default: a young server's charts are full too. */
  fit(): void {
    if (this.chosen.peek() || this.usual.peek() !== null) {
      return;
    }
    const span = this.liveEdge - this.store.oldest;
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

  /** Time goes on, and samples come. */
  beat(): void {
    this.now.value = this.edge;
    if (this.heldAt.value !== null) {
      this.newSamples.value = this.store.published - this.heldSamples;
    }
  }
}

function rememberedWindow(): number | null {
  const ms = Number(recall('pushsvc.window'));
  return isWindow(ms) ? ms : null;
}
