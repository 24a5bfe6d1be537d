/** The model behind the page: the stream, its data, and the choices of the viewer. */

import { batch, computed, effect, type Signal, signal } from '@preact/signals';
import { loadPart } from '../browser/part.ts';
import { Painter } from '../chart/painter.ts';
import {
  Client,
  type Document,
  type Reasons,
  type Status,
  type Subscription,
  streamAt,
} from '../client/index.ts';
import { EVERYTHING, matcherOf } from '../client/subscriptions/spec.ts';
import type { Address } from '../dashboards/address.ts';
import type { Panel } from '../store/panel.ts';
import { LATE_MS } from '../store/series.ts';
import { Store } from '../store/store.ts';
import { answers } from './answers.ts';
import { Clock } from './clock.ts';
import { CHART_POINTS, HistoryLoader } from './history-loader.ts';
import type { InSight } from './in-sight.ts';
import { SeriesList } from './series-list.ts';
import { TimeRange } from './time-range.ts';
import { transports } from './transports.ts';

const MINUTE = 60_000;

const BEAT_MS = 500;
/** Milliseconds without samples that are tolerated while no interval is known. */
const UNKNOWN_MS = 10_000;
const TRIM_MS = 5_000;
const RATE_MS = 5_000;
/**
 * If there are at most this many series, all are asked for, in sight or not. Once there were more,
 * there have to be at most `FEW_AGAIN`.
 */
const FEW_SERIES = 200;
const FEW_AGAIN = 150;
/** Milliseconds between two counts of the series. */
const COUNT_MS = 4_000;

/** live: samples flow. stale: connected, but none came for long. cut: not connected. */
export type Freshness = 'connecting' | 'live' | 'stale' | 'cut' | 'refused';

/** Milliseconds from a sample's time until it is drawn, by the server's clock. */
export interface Latency {
  /** From the sample's own time until the server sent it. */
  readonly toServer: number;
  readonly toBrowser: number;
  /** From its arrival until it was drawn; null while nothing is drawn. */
  readonly toScreen: number | null;
  readonly total: number;
}

export class Dashboard {
  readonly panels: Signal<readonly Panel[]> = signal([]);
  readonly status: Signal<Status>;
  readonly seriesCount = signal(0);
  /** Samples per second over the last seconds; null until that is known. */
  readonly sampleRate: Signal<number | null> = signal(null);
  /** The latency of the newest sample; null until one arrived that was not replayed. */
  readonly latency: Signal<Latency | null> = signal(null);
  /** The most points per second of each series that the server sends; null until it said so. */
  readonly grantedHz: Signal<number | null> = signal(null);
  /** Milliseconds of the past that the server keeps; null until it said so. */
  readonly keptMs: Signal<number | null> = signal(null);
  /** Why expressions have no results now, by name. */
  readonly failing: Signal<Reasons> = signal({});
  /** Whether the server has said which series there are. */
  readonly described = signal(false);
  /** Whether a stream was ever open. */
  readonly #reached = signal(false);
  readonly filter = signal('');
  /** The time under the pointer, in any panel. */
  readonly hover: Signal<number | null> = signal(null);
  readonly painter = new Painter();

  readonly store: Store;
  /** The span of time that is shown. */
  readonly time: TimeRange;
  readonly history: HistoryLoader;
  readonly #client: Client;
  #subscription: Subscription | null = null;
  readonly #clock = new Clock();
  #heardAt = Number.POSITIVE_INFINITY;
  readonly #list: SeriesList;
  #counts: { at: number; samples: number }[] = [];
  #trimmedAt = 0;
  /** Asks only for the series in sight; null if all are asked for. */
  #sight: InSight | null = null;
  /** Whether the page shows all metrics. */
  #overview = false;
  /** When the series were last counted, by `Date.now()`. */
  #countedAt = 0;
  readonly #near = new Map<string, number>();
  #started = false;
  /** The window that the stream was asked for. */
  #askedMs = 0;
  /** When the oldest frame that isn't drawn yet arrived, by `performance.now()`; NaN for none. */
  #undrawnSince = Number.NaN;
  #toScreen: number | null = null;

  /**
   * Talks to the service at `origin` once `start` is called. It begins with what its address says.
   */
  constructor(origin: URL, address: Pick<Address, 'window' | 'held'>) {
    this.store = new Store({
      arranged: (panels) => {
        this.panels.value = panels;
        this.painter.dirtyAll();
      },
      changed: (panels) => this.painter.dirty(panels),
    });
    this.time = new TimeRange(address, this.#clock, this.store, {
      redraw: () => this.painter.dirtyAll(),
      reachBack: (ms, exactly) => this.history.reachBack(ms, exactly),
    });
    this.history = new HistoryLoader(origin, this.store, this.time);
    this.#list = new SeriesList(origin);
    // Tabs share one connection if the browser supports that.
    this.#client = new Client(
      streamAt(origin),
      {
        share: true,
        pauseHidden: false,
        onStatus: (status) => this.#changeStatus(status),
      },
      transports,
    );
    this.status = signal(this.#client.status);
    this.painter.onPainted = () => {
      if (!Number.isNaN(this.#undrawnSince)) {
        this.#toScreen = performance.now() - this.#undrawnSince;
        this.#undrawnSince = Number.NaN;
      }
    };
  }

  /** How fresh the page as a whole is. */
  readonly freshness = computed<Freshness>(() => {
    const { phase, attempt } = this.status.value;
    if (phase === 'refused') {
      return 'refused';
    }
    if (phase !== 'live') {
      return this.#reached.value || attempt > 1 || phase === 'waiting' ? 'cut' : 'connecting';
    }
    return this.overdue.value || answers.value === false ? 'stale' : 'live';
  });

  /** Whether samples are missing, by how often they usually come. States are sent as they change. */
  readonly overdue = computed<boolean>(() => {
    const quiet = this.quietMs.value;
    const { interval, counts } = this.store;
    return counts && quiet > (interval === 0 ? UNKNOWN_MS : 2 * interval + LATE_MS);
  });

  /** Milliseconds since a sample of any series last arrived. */
  readonly quietMs = computed<number>(() => {
    this.time.now.value;
    const { lastPointsAt } = this.store;
    return Number.isNaN(lastPointsAt) ? 0 : Math.max(0, Date.now() - lastPointsAt);
  });

  start(): void {
    setInterval(() => this.#beat(), BEAT_MS);
    effect(() => {
      this.time.windowMs.value;
      this.time.heldAt.value;
      this.history.sharpenSoon();
    });
  }

  /** Whether only the series of panels in sight are asked for. */
  readonly partial = signal(false);

  /** Ask for all series if they are few, else for those of panels in sight. */
  async askInSight(): Promise<void> {
    this.#overview = true;
    let sight: InSight | null = null;
    try {
      sight = await this.#listSight();
    } catch {
      // The status of the stream will say what is wrong.
    }
    if (!this.#overview || this.#sight !== null) {
      return; // something else has been asked for meanwhile
    }
    if (sight === null) {
      this.#askFor(null);
    } else {
      this.store.retain(() => false);
      this.#beginSight(sight);
    }
  }

  /** Load the module that asks for series in sight; null if there are few series. */
  async #listSight(): Promise<InSight | null> {
    await this.#list.fetch();
    if (this.#list.all.length <= FEW_SERIES) {
      return null;
    }
    const { InSight } = await loadPart(() => import('./in-sight.ts'));
    return new InSight(
      this.#list,
      this.#near,
      (selectors) => this.#askFor(selectors),
      () => this.#takeList(),
    );
  }

  #beginSight(sight: InSight): void {
    this.#sight = sight;
    this.partial.value = true;
    this.store.listed = true;
    sight.begin();
  }

  #takeList(): void {
    this.store.list(this.#list.all);
    this.described.value = true;
    this.seriesCount.value = this.store.live;
  }

  /**
   * Ask only for what is in sight once there are many series, and for all when they are few again.
   */
  #count(at: number): void {
    const { store } = this;
    const sight = this.#sight;
    const overview = this.#overview;
    if (!overview || !this.#started || this.status.peek().phase !== 'live') {
      return;
    }
    if (sight !== null && this.#list.all.length < FEW_AGAIN) {
      this.#leaveSight();
      this.#askFor(null);
    } else if (sight === null && store.live > FEW_SERIES && at - this.#countedAt > COUNT_MS) {
      this.#countedAt = at;
      this.#listSight().then(
        (found) => {
          if (found !== null && this.#overview && this.#sight === null) {
            this.#beginSight(found);
          }
        },
        () => {},
      );
    }
  }

  #leaveSight(): void {
    this.#sight?.close();
    this.#sight = null;
    this.partial.value = false;
    this.store.listed = false;
  }

  /** The panel of a metric comes close to the visible area, or leaves it. */
  approach(name: string, near: boolean): void {
    const count = (this.#near.get(name) ?? 0) + (near ? 1 : -1);
    if (count > 0) {
      this.#near.set(name, count);
    } else {
      this.#near.delete(name);
    }
    this.#sight?.changed();
  }

  /**
   * Ask for the series that these selectors match, or for all. Until the first call nothing is
   * asked for. Series that are no longer wanted are forgotten.
   */
  ask(selectors: readonly string[] | null): void {
    this.#overview = false;
    this.#leaveSight();
    this.#askFor(selectors);
  }

  #askFor(selectors: readonly string[] | null): void {
    const { history } = this;
    if (this.#started && `${selectors}` === `${history.asked}`) {
      return;
    }
    const before = this.#started ? (history.asked ?? [EVERYTHING]) : [];
    history.asked = selectors;
    this.#askedMs = history.loadedMs;
    const meant = matcherOf({ selectors: selectors ?? [EVERYTHING] }) ?? (() => true);
    if (this.#started || this.#sight !== null) {
      history.forget();
      this.store.retain(meant);
    }
    this.#started = true;
    this.store.meant = meant;
    const replaced = this.#subscription;
    this.#subscription = this.#client.subscribe(selectors ?? '', {
      window: this.#askedMs / 1000,
      points: CHART_POINTS,
      merge: 'envelope',
      keep: false,
      onDocument: (document) => this.#receive(document),
      onRepeats: () => this.store.expectRepeats(),
      onJoined: (had) => this.#join(had, before),
      // The status of the stream says so.
      onError: () => {},
    });
    replaced?.close();
  }

  /**
   * Fetch the past that the stream does not bring. It already served the selectors `had`, also
   * those of other tabs; series that they share with the selectors new here have begun before, and
   * their past does not come again.
   */
  #join(had: readonly string[], before: readonly string[]): void {
    const others = had.filter((one) => !before.includes(one));
    const those = matcherOf({ selectors: others });
    const lacking = (this.history.asked ?? [EVERYTHING])
      .filter((one) => !before.includes(one))
      .filter((one) => {
        const these = matcherOf({ selectors: [one] });
        // Only the list says which series there are.
        return !this.store.listed || these === null || those === null
          ? others.length > 0
          : this.store.overlap(these, those);
      });
    void this.history.backfill(this.history.loadedMs, lacking);
  }

  #receive(document: Document): void {
    this.heard();
    if (document.type === 'hello') {
      const { kept, max_hz: hz, points } = document.granted;
      this.history.granted(this.#askedMs, points);
      this.grantedHz.value = hz;
      this.keptMs.value = kept === undefined ? null : kept * 1000;
    }
    this.store.take(document);
    if (document.type === 'hello' || document.type === 'failing') {
      this.failing.value = document.failing ?? {};
    }
    if (document.type === 'points' && document.time === undefined) {
      this.painter.hold();
      this.time.now.value = this.time.edge; // beside the pictures there are values at once
      this.history.sharpenSoon();
    }
    if ('time' in document && document.time !== undefined) {
      this.#clock.heard(document.time, this.status.peek().roundTrip);
      if (document.type === 'points' && Number.isNaN(this.#undrawnSince)) {
        this.#undrawnSince = performance.now();
      }
    }
    if (document.type === 'points') {
      this.time.fit();
    }
    this.described.value = this.store.described;
    this.seriesCount.value = this.store.live;
  }

  /** The server has nothing before this time; -Infinity if it doesn't say. */
  get keptSince(): number {
    return this.#clock.now() - (this.keptMs.peek() ?? Number.POSITIVE_INFINITY);
  }

  /** Until when it is known what holds, by the server's clock: now, or when it was last heard. */
  get knownUntil(): number {
    const now = this.time.now.value;
    return this.freshness.value === 'live' ? now : Math.min(now, this.#heardAt);
  }

  /** The server has sent something, or answered, while the stream is open. */
  heard(): void {
    this.#heardAt = this.#clock.now();
  }

  /** Try to connect now rather than when planned. */
  retryNow(): void {
    this.#client.retryNow();
  }

  #latencyNow(): Latency | null {
    const { arrival } = this.store;
    if (arrival === null) {
      return null;
    }
    const came = arrival.at + this.#clock.now() - Date.now();
    const toServer = Math.max(0, arrival.sent - arrival.time);
    const toBrowser = Math.max(0, came - arrival.sent);
    const toScreen = document.visibilityState === 'visible' ? this.#toScreen : null;
    return { toServer, toBrowser, toScreen, total: toServer + toBrowser + (toScreen ?? 0) };
  }

  #changeStatus(status: Status): void {
    const before = this.status.peek().phase;
    this.status.value = status;
    this.#reached.value ||= status.phase === 'live';
    if (status.phase === 'live' && before !== 'live') {
      // Replayed samples don't count for the rate.
      this.#counts = [];
    }
  }

  #beat(): void {
    const at = Date.now();
    this.#count(at);
    this.#sight?.beat(at);
    if (at - this.#trimmedAt >= TRIM_MS) {
      this.#trimmedAt = at;
      const { edge, liveEdge, windowMs } = this.time;
      this.store.trim(Math.min(liveEdge - this.history.loadedMs, edge - windowMs.peek()) - MINUTE);
    }
    this.#counts.push({ at, samples: this.store.published });
    this.#counts = this.#counts.filter((count) => at - count.at <= RATE_MS);
    const first = this.#counts[0]!;
    batch(() => {
      this.sampleRate.value =
        this.status.value.phase === 'live' && at - first.at >= 4 * BEAT_MS
          ? ((this.store.published - first.samples) * 1000) / (at - first.at)
          : null;
      this.latency.value = this.#latencyNow();
      this.time.beat();
    });
    this.painter.dirtyAll();
  }
}
