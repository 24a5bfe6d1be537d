/** What stands behind the page: the stream, what it brought, and what the viewer chose. */

import { batch, computed, effect, type Signal, signal } from '@preact/signals';
import { loadPart } from '../browser/part.ts';
import { recall, remember } from '../browser/settings.ts';
import { Painter } from '../chart/painter.ts';
import {
  type Client,
  connect,
  type Document,
  type Status,
  type Subscription,
} from '../client/index.ts';
import { EVERYTHING, matcherOf } from '../client/subscriptions/spec.ts';
import type { Address } from '../dashboards/address.ts';
import type { Sight } from '../dashboards/sight.ts';
import { FARTHEST, isWindow, LEAST_WINDOW, WINDOWS } from '../dashboards/windows.ts';
import type { Panel } from '../store/panel.ts';
import type { Described } from '../store/series.ts';
import { type Past, Store } from '../store/store.ts';
import { Clock } from './clock.ts';

const MINUTE = 60_000;
const DEFAULT_WINDOW = 15 * MINUTE;

const BEAT_MS = 500;
/** Besides two usual intervals, what frames may be late by; and patience with a single sample. */
const LATE_MS = 400;
const UNKNOWN_MS = 10_000;
const TRIM_MS = 5_000;
const RATE_MS = 5_000;
/**
 * Points of a line that are enough for a chart; the server grants fewer where there are many lines.
 */
const CHART_POINTS = 400;
/** Milliseconds that what is shown stays as it is before finer points are asked for. */
const SHARPEN_AFTER_MS = 250;
/** A producer whose clock is ahead is followed so far (the server takes no more either). */
const AHEAD_MS = 600_000;
/**
 * Series that are all asked for, in sight or not; and of how few they are again, once they were
 * more.
 */
const FEW_SERIES = 200;
const FEW_AGAIN = 150;
/** After so long without an answer, all are asked for. */
const LIST_PATIENCE_MS = 3_000;
/** It is looked for new series so often, and less where there are thousands. */
const LIST_MS = 4_000;
const LIST_MS_PER_SERIES = 4;
/** What comes into sight is asked for when it has stayed so long. */
const SIGHT_MS = 120;
/** Zooms that one can go back from. */
const MOST_ZOOMS = 50;

/** A span of time as it is shown: held at its end, or live where that is null. */
interface Shown {
  readonly heldAt: number | null;
  readonly windowMs: number;
}

/** live: samples flow. stale: connected, but none came for long. cut: not connected. */
export type Freshness = 'connecting' | 'live' | 'stale' | 'cut' | 'refused';

/** Milliseconds from a producer's glass to this one, by the server's clock. */
export interface Latency {
  /** From the sample's own time until the server sent it, waiting for its turn included. */
  readonly toServer: number;
  readonly toBrowser: number;
  /** From its coming until it was drawn; null while nothing is drawn. */
  readonly toScreen: number | null;
  readonly total: number;
}

export class Dashboard {
  readonly panels: Signal<readonly Panel[]> = signal([]);
  readonly status: Signal<Status>;
  /** Twice a second: when texts look at their values again. Unix milliseconds of the server. */
  readonly now: Signal<number>;
  readonly seriesCount = signal(0);
  /** Samples a second over the last few; null until that is known. */
  readonly sampleRate: Signal<number | null> = signal(null);
  /** How long the newest sample took; null until one came that is no replay. */
  readonly latency: Signal<Latency | null> = signal(null);
  /** Points a second and series that the server sends at the most; null before it has said so. */
  readonly grantedHz: Signal<number | null> = signal(null);
  /** Milliseconds of the past that the server keeps; null before it has said so. */
  readonly keptMs: Signal<number | null> = signal(null);
  /** Whether the server has told which series there are. */
  readonly described = signal(false);
  /** Whether there has been a stream. */
  private readonly reached = signal(false);
  /** How much time is shown, in milliseconds. */
  readonly windowMs: Signal<number>;
  /** How much is shown while it is live, whatever is zoomed into, */
  readonly liveMs: Signal<number>;
  /** whether somebody chose that, */
  readonly chosen: Signal<boolean>;
  /** and what it is where nobody has; null where that is as wide as what there is to see. */
  readonly usual: Signal<number | null> = signal(null);
  /** Whether what changes now goes on with the last zoom. */
  rezooming = false;
  /** What was shown before each zoom. */
  readonly zooms: Signal<readonly Shown[]> = signal([]);
  readonly filter = signal('');
  /** The time that a pointer is at, in any panel. */
  readonly hover: Signal<number | null> = signal(null);
  /** Why an older part of the window could not be filled in; empty if it could. */
  readonly notice = signal('');
  /** Where the right edge is held, in Unix milliseconds; null while it follows the newest. */
  readonly heldAt: Signal<number | null> = signal(null);
  /** Samples that came in since the charts are held. */
  readonly newSamples = signal(0);
  readonly painter = new Painter();

  readonly store: Store;
  private readonly client: Client;
  private subscription: Subscription | null = null;
  private readonly clock = new Clock();
  private readonly origin: URL;
  private loadedMs: number;
  /** Whether the window is what this visit asked for, be it by its address. */
  private picked: boolean;
  private counts: { at: number; samples: number }[] = [];
  private trimmedAt = 0;
  /** Selectors of what is asked for; null for every series. */
  private asked: readonly string[] | null = null;
  /** Where only what is in sight is asked for. */
  private sight: Sight | null = null;
  /** Whether all metrics are shown, as many as there are. */
  private overview = false;
  /** The list of series as it came last, and what the server calls it. */
  private listed: readonly Described[] = [];
  private listTag: string | null = null;
  /** When it was looked last whether all can still be asked for, as `Date.now()` has it. */
  private countedAt = 0;
  private readonly near = new Map<string, number>();
  private looking: ReturnType<typeof setTimeout> | undefined;
  private listing: ReturnType<typeof setTimeout> | undefined;
  private started = false;
  /** The window that the stream was asked for. */
  private askedMs = DEFAULT_WINDOW;
  /** Milliseconds that the coarsest points stand for. */
  private coarsest = 0;
  /** Points of a line that the server grants. */
  private grantedPoints = CHART_POINTS;
  /** Spans of the past that are as fine as one of so many milliseconds is drawn. */
  private sharp: { readonly from: number; readonly to: number; readonly span: number }[] = [];
  private sharpening: ReturnType<typeof setTimeout> | undefined;
  private heldSamples = 0;
  /** When a frame came that is not drawn yet, as `performance.now()` has it; NaN for none. */
  private undrawnSince = Number.NaN;
  private toScreen: number | null = null;

  /**
   * Talks to the service at `origin`; nothing happens before `start`. It begins as it is addressed.
   */
  constructor(origin: URL, { window, held }: Pick<Address, 'window' | 'held'>) {
    this.origin = origin;
    const chosen = window ?? rememberedWindow();
    this.chosen = signal(chosen !== null);
    this.picked = window !== null;
    this.liveMs = signal(chosen ?? WINDOWS[1]!.ms);
    this.windowMs = signal(held?.span ?? this.liveMs.value);
    const now = this.clock.now();
    this.heldAt.value = held === null ? null : held.to;
    const back = held === null ? 0 : now - held.to;
    const shown = chosen === null ? DEFAULT_WINDOW : this.windowMs.value;
    this.loadedMs = Math.min(FARTHEST, Math.max(this.windowMs.value, shown) + back);
    this.now = signal(held?.to ?? now);
    this.store = new Store({
      arranged: (panels) => {
        this.panels.value = panels;
        this.painter.dirtyAll();
      },
      changed: (panels) => this.painter.dirty(panels),
    });
    // Tabs have one connection together, where the browser lets them.
    this.client = connect(origin, {
      share: true,
      pauseHidden: false,
      onStatus: (status) => this.changeStatus(status),
    });
    this.status = signal(this.client.status);
    this.painter.onPainted = () => {
      if (!Number.isNaN(this.undrawnSince)) {
        this.toScreen = performance.now() - this.undrawnSince;
        this.undrawnSince = Number.NaN;
      }
    };
  }

  /** How fresh the picture is as a whole. */
  readonly freshness = computed<Freshness>(() => {
    const { phase, attempt } = this.status.value;
    if (phase === 'refused') {
      return 'refused';
    }
    if (phase !== 'live') {
      return this.reached.value || attempt > 1 || phase === 'waiting' ? 'cut' : 'connecting';
    }
    const { interval } = this.store;
    if (!this.store.counts) {
      return 'live'; // states are told when they change
    }
    const patience = interval === 0 ? UNKNOWN_MS : 2 * interval + LATE_MS;
    return this.quietMs.value > patience ? 'stale' : 'live';
  });

  /** Milliseconds since samples last came, from whichever series. */
  readonly quietMs = computed<number>(() => {
    this.now.value;
    const { lastPointsAt } = this.store;
    return Number.isNaN(lastPointsAt) ? 0 : Math.max(0, Date.now() - lastPointsAt);
  });

  start(): void {
    setInterval(() => this.beat(), BEAT_MS);
    effect(() => {
      this.windowMs.value;
      this.heldAt.value;
      this.sharpenSoon();
    });
  }

  /** Whether only the series of panels in sight are asked for. */
  readonly partial = signal(false);

  /** Ask for all series where they are few, else for those of panels in sight. */
  async askInSight(): Promise<void> {
    this.overview = true;
    let sight: Sight | null = null;
    try {
      sight = await this.listSight();
    } catch {
      // What is wrong is told by the stream.
    }
    if (this.started) {
      return; // for something else by now
    }
    if (sight === null) {
      this.askFor(null);
    } else {
      this.store.meant = () => false;
      this.beginSight(sight);
    }
  }

  /** What tells what to ask for, loaded where there are many series; null where they are few. */
  private async listSight(): Promise<Sight | null> {
    await this.list();
    if (this.listed.length <= FEW_SERIES) {
      return null;
    }
    const { Sight } = await loadPart(() => import('../dashboards/sight.ts'));
    return new Sight();
  }

  /**
   * Ask for what is in sight only. What is there besides is known by name, and drawn when it comes
   * near.
   */
  private beginSight(sight: Sight): void {
    this.sight = sight;
    this.partial.value = true;
    this.store.listed = true;
    this.takeList();
    this.looking = setTimeout(() => this.askNear(), SIGHT_MS);
  }

  /** Ask for what is in sight once there are many series, and for all once they are few again. */
  private count(at: number): void {
    const { sight, overview, store } = this;
    if (!overview || !this.started || this.status.peek().phase !== 'live') {
      return;
    }
    if (sight !== null && this.listed.length < FEW_AGAIN) {
      this.leaveSight();
      this.askFor(null);
    } else if (sight === null && store.live > FEW_SERIES && at - this.countedAt > LIST_MS) {
      this.countedAt = at;
      this.listSight().then(
        (found) => {
          if (found !== null && this.overview && this.sight === null) {
            this.beginSight(found);
          }
        },
        () => {},
      );
    }
  }

  private leaveSight(): void {
    clearTimeout(this.looking);
    clearTimeout(this.listing);
    this.sight = null;
    this.partial.value = false;
    this.store.listed = false;
  }

  /** Fetch which series there are, unless they are the same; tells whether they may not be. */
  private async list(): Promise<boolean> {
    const response = await fetch(new URL('v1/series?values=false', this.origin), {
      headers: {
        Accept: 'application/json',
        ...(this.listTag !== null && { 'If-None-Match': this.listTag }),
      },
      signal: AbortSignal.timeout(LIST_PATIENCE_MS),
    });
    if (response.status === 304) {
      return false;
    }
    const answer: { series?: readonly Described[] } = await response.json();
    if (answer.series === undefined) {
      throw new Error(`the server answered ${response.status}`);
    }
    this.listed = answer.series;
    this.listTag = response.headers.get('ETag');
    return true;
  }

  private takeList(): void {
    this.store.list(this.listed);
    this.described.value = true;
    this.seriesCount.value = this.store.live;
    this.listAgain();
  }

  private listAgain(): void {
    this.listAfter(Math.max(LIST_MS, LIST_MS_PER_SERIES * this.listed.length));
  }

  private listAfter(ms: number): void {
    clearTimeout(this.listing);
    this.listing = setTimeout(() => {
      if (this.sight === null) {
        return;
      }
      if (document.visibilityState === 'hidden') {
        this.listAfter(LIST_MS);
        return;
      }
      this.list().then(
        (changed) => (changed ? this.takeList() : this.listAgain()),
        () => this.listAfter(LIST_MS),
      );
    }, ms);
  }

  /** The panel of a metric comes near to what is in sight, or leaves it. */
  approach(name: string, near: boolean): void {
    const count = (this.near.get(name) ?? 0) + (near ? 1 : -1);
    if (count > 0) {
      this.near.set(name, count);
    } else {
      this.near.delete(name);
    }
    if (this.sight !== null) {
      clearTimeout(this.looking);
      this.looking = setTimeout(() => this.askNear(), SIGHT_MS);
    }
  }

  private askNear(): void {
    if (this.sight !== null) {
      this.askFor(this.sight.selectors([...this.near.keys()], Date.now()));
    }
  }

  /**
   * Ask for the series that these selectors mean, or for every one. Nothing is asked for before it
   * is known what; what isn't wanted any more is forgotten.
   */
  ask(selectors: readonly string[] | null): void {
    this.overview = false;
    this.leaveSight();
    this.askFor(selectors);
  }

  private askFor(selectors: readonly string[] | null): void {
    if (this.started && `${selectors}` === `${this.asked}`) {
      return;
    }
    const before = this.started ? (this.asked ?? [EVERYTHING]) : [];
    this.asked = selectors;
    this.askedMs = this.loadedMs;
    const meant = matcherOf({ selectors: selectors ?? [EVERYTHING] }) ?? (() => true);
    if (this.started || this.sight !== null) {
      this.sharp = [];
      this.store.retain(meant);
    }
    this.started = true;
    this.store.meant = meant;
    const replaced = this.subscription;
    this.subscription = this.client.subscribe(selectors ?? '', {
      window: this.loadedMs / 1000,
      points: CHART_POINTS,
      merge: 'envelope',
      keep: false,
      onDocument: (document) => this.receive(document),
      onDoubt: () => this.store.doubt(),
      onJoined: (had) => this.join(had, before),
      // That is said by the status.
      onError: () => {},
    });
    replaced?.close();
  }

  /**
   * Fetch the past that doesn't come by a stream which had brought what `had` means: other tabs'
   * too, so that what they have in common with what is new here has begun already.
   */
  private join(had: readonly string[], before: readonly string[]): void {
    const others = had.filter((one) => !before.includes(one));
    const those = matcherOf({ selectors: others });
    const lacking = (this.asked ?? [EVERYTHING])
      .filter((one) => !before.includes(one))
      .filter((one) => {
        const these = matcherOf({ selectors: [one] });
        // Which series there are is only known where they are listed.
        return !this.store.listed || these === null || those === null
          ? others.length > 0
          : this.store.overlap(these, those);
      });
    void this.backfill(this.loadedMs, lacking);
  }

  private receive(document: Document): void {
    if (document.type === 'hello') {
      this.grantedPoints = document.granted.points ?? CHART_POINTS;
      this.store.thinnedMs = this.askedMs / this.grantedPoints;
      this.coarsest = Math.max(this.coarsest, this.store.thinnedMs);
    }
    this.store.take(document);
    if (document.type === 'points' && document.time === undefined) {
      this.painter.hold();
      this.now.value = this.edge; // beside the pictures there are values at once
      this.sharpenSoon();
    }
    if ('time' in document && document.time !== undefined) {
      this.clock.heard(document.time, this.status.peek().roundTrip);
      if (document.type === 'points' && Number.isNaN(this.undrawnSince)) {
        this.undrawnSince = performance.now();
      }
    }
    if (document.type === 'hello') {
      this.grantedHz.value = document.granted.max_hz;
      const { kept } = document.granted;
      this.keptMs.value = kept === undefined ? null : kept * 1000;
    }
    if (document.type === 'points') {
      this.fit();
    }
    this.described.value = this.store.described;
    this.seriesCount.value = this.store.live;
  }

  /** Before when the server has nothing any more; -Infinity where it doesn't say. */
  get keptSince(): number {
    return this.clock.now() - (this.keptMs.peek() ?? Number.POSITIVE_INFINITY);
  }

  /** Try to connect now rather than when it was planned. */
  retryNow(): void {
    this.client.retryNow();
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

  /** Whether it is another span than that of the window. */
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

  /** Go on with a zoom: it is still the same that one goes back from. */
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
    this.reachBack(this.liveEdge - this.edge + this.windowMs.peek());
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
    this.reachBack(live - this.edge + span);
    this.refresh();
  }

  private refresh(): void {
    this.now.value = this.edge;
    this.painter.dirtyAll();
  }

  /** Ask for what is missing of the last so many milliseconds. */
  private reachBack(ms: number): void {
    if (ms > this.loadedMs) {
      // Some more than is asked for, so that a drag doesn't ask at every step.
      this.loadedMs = Math.min(FARTHEST, Math.max(ms, 2 * this.loadedMs));
      void this.backfill(this.loadedMs);
    }
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
    this.painter.dirtyAll();
    const back = this.liveEdge - this.edge + this.windowMs.peek();
    if (back > this.loadedMs) {
      this.loadedMs = back;
      void this.backfill(this.loadedMs);
    }
  }

  /** Widen the window to what there is, up to the default: a young server's charts are full too. */
  private fit(): void {
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

  /** Fill in what is missing of so long a time: of what these selectors mean, or of all. */
  private async backfill(
    windowMs: number,
    of: readonly string[] | null = this.asked,
  ): Promise<void> {
    if (of?.length === 0) {
      return;
    }
    try {
      const series = await this.past(windowMs, this.grantedPoints, null, of);
      // Each bucket of time keeps its lowest and its highest sample.
      this.store.backfill(series, (4 * windowMs) / this.grantedPoints);
      this.store.thinnedUntil = Math.max(this.store.thinnedUntil, this.store.oldest);
      this.coarsest = Math.max(this.coarsest, windowMs / this.grantedPoints);
      this.notice.value = '';
      this.sharpenSoon();
    } catch (error) {
      this.loadedMs = DEFAULT_WINDOW;
      this.notice.value = `Older samples could not be fetched: ${(error as Error).message}`;
    }
  }

  /** The past of what is asked for, in so many points of each series. */
  async past(
    windowMs: number,
    points: number,
    until: number | null,
    of: readonly string[] | null,
  ): Promise<readonly Past[]> {
    const url = new URL('v1/history', this.origin);
    url.searchParams.set('window', `${Math.ceil(windowMs / 1000)}s`);
    url.searchParams.set('points', String(points));
    if (until !== null) {
      url.searchParams.set('until', String(until));
    }
    for (const selector of of ?? []) {
      url.searchParams.append('select', selector);
    }
    const response = await fetch(url, { headers: { Accept: 'application/json' } });
    const answer: { detail?: string; series?: readonly Past[] } = await response.json();
    if (answer.series === undefined) {
      throw new Error(answer.detail ?? `the server answered ${response.status}`);
    }
    return answer.series;
  }

  private sharpenSoon(): void {
    clearTimeout(this.sharpening);
    this.sharpening = setTimeout(() => void this.sharpen(), SHARPEN_AFTER_MS);
  }

  /** Have the past that is shown as fine as it can be drawn: it was thinned for a longer window. */
  private async sharpen(): Promise<void> {
    const span = this.windowMs.peek();
    const { thinnedUntil } = this.store;
    const from = Math.floor(this.edge - span);
    const to = Math.ceil(Math.min(this.edge, thinnedUntil));
    const fine = 1.5 * (span / this.grantedPoints);
    const known = this.sharp.some(
      (one) => one.from <= from && one.to >= to && one.span <= 1.5 * span,
    );
    if (from >= to || this.coarsest <= fine || known) {
      return;
    }
    try {
      const series = await this.past(to - from, this.grantedPoints, to, this.asked);
      this.sharp = [...this.sharp.slice(-20), { from, to, span }];
      this.store.refine(series, from, to);
    } catch {
      // What is shown is coarse, and true.
    }
  }

  private latencyNow(): Latency | null {
    const { arrival } = this.store;
    if (arrival === null) {
      return null;
    }
    const came = arrival.at + this.clock.now() - Date.now();
    const toServer = Math.max(0, arrival.sent - arrival.time);
    const toBrowser = Math.max(0, came - arrival.sent);
    const toScreen = document.visibilityState === 'visible' ? this.toScreen : null;
    return { toServer, toBrowser, toScreen, total: toServer + toBrowser + (toScreen ?? 0) };
  }

  private changeStatus(status: Status): void {
    const before = this.status.peek().phase;
    this.status.value = status;
    this.reached.value ||= status.phase === 'live';
    if (status.phase === 'live' && before !== 'live') {
      // What is replayed now says nothing about the rate.
      this.counts = [];
    }
  }

  private beat(): void {
    const at = Date.now();
    this.count(at);
    if (this.sight?.lingers(at)) {
      this.askNear();
    }
    if (at - this.trimmedAt >= TRIM_MS) {
      this.trimmedAt = at;
      this.store.trim(
        Math.min(this.liveEdge - this.loadedMs, this.edge - this.windowMs.peek()) - MINUTE,
      );
    }
    this.counts.push({ at, samples: this.store.published });
    this.counts = this.counts.filter((count) => at - count.at <= RATE_MS);
    const first = this.counts[0]!;
    batch(() => {
      this.sampleRate.value =
        this.status.value.phase === 'live' && at - first.at >= 4 * BEAT_MS
          ? ((this.store.published - first.samples) * 1000) / (at - first.at)
          : null;
      this.latency.value = this.latencyNow();
      this.now.value = this.edge;
      if (this.heldAt.value !== null) {
        this.newSamples.value = this.store.published - this.heldSamples;
      }
    });
    this.painter.dirtyAll();
  }
}

function rememberedWindow(): number | null {
  const ms = Number(recall('pushsvc.window'));
  return isWindow(ms) ? ms : null;
}
