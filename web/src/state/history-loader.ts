/** Fetches the past that the stream doesn't bring: older points, and finer ones. */

import { type Signal, signal } from '@preact/signals';
import { FARTHEST } from '../dashboards/windows.ts';
import type { Past, Store } from '../store/store.ts';
import type { TimeRange } from './time-range.ts';

/** Points per line that are enough for a chart; the server grants fewer if there are many lines. */
export const CHART_POINTS = 400;
/** Milliseconds until another attempt after older points could not be fetched. */
const LEAST_MS = 15 * 60_000;
/** Finer points are asked for once the span has not changed for this many milliseconds. */
const SHARPEN_AFTER_MS = 250;

export class HistoryLoader {
  /** Why an older part of the window could not be filled in; empty if it could. */
  readonly notice: Signal<string> = signal('');
  /** The selectors that are asked for; null for every series. */
  asked: readonly string[] | null = null;
  /** How many milliseconds of the past have been asked for. */
  loadedMs: number;
  readonly #origin: URL;
  readonly #store: Store;
  readonly #time: TimeRange;
  /** Milliseconds that the coarsest points stand for. */
  #coarsest = 0;
  /** Points per line that the server grants. */
  #grantedPoints = CHART_POINTS;
  /** Spans that finer points were fetched for. `span` is the width of the chart in milliseconds. */
  #sharp: { readonly from: number; readonly to: number; readonly span: number }[] = [];
  #sharpening: ReturnType<typeof setTimeout> | undefined;

  constructor(origin: URL, store: Store, time: TimeRange) {
    this.#origin = origin;
    this.#store = store;
    this.#time = time;
    this.loadedMs = time.firstMs;
  }

  /**
   * A stream begins that brings a window of this many milliseconds in this many points of each
   * series.
   */
  granted(windowMs: number, points = CHART_POINTS): void {
    this.#grantedPoints = points;
    this.#store.thinnedMs = windowMs / points;
    this.#coarsest = Math.max(this.#coarsest, this.#store.thinnedMs);
  }

  /** Other series are asked for, which nothing has been fetched of. */
  forget(): void {
    this.#sharp = [];
  }

  /**
   * Fetch what is missing of the last `ms` milliseconds, and some more unless `exactly` is set: a
   * drag then doesn't cause a request at every step.
   */
  reachBack(ms: number, exactly: boolean): void {
    if (ms > this.loadedMs) {
      this.loadedMs = exactly ? ms : Math.min(FARTHEST, Math.max(ms, 2 * this.loadedMs));
      void this.backfill(this.loadedMs);
    }
  }

  /** Fetch the past of these selectors, or of all series, and add what is missing. */
  async backfill(windowMs: number, of: readonly string[] | null = this.asked): Promise<void> {
    if (of?.length === 0) {
      return;
    }
    try {
      const series = await this.past(windowMs, this.#grantedPoints, null, of);
      // Each bucket of time keeps its lowest and its highest sample.
      this.#store.backfill(series, (4 * windowMs) / this.#grantedPoints);
      this.#store.thinnedUntil = Math.max(this.#store.thinnedUntil, this.#store.oldest);
      this.#coarsest = Math.max(this.#coarsest, windowMs / this.#grantedPoints);
      this.notice.value = '';
      this.sharpenSoon();
    } catch (error) {
      this.loadedMs = LEAST_MS;
      this.notice.value = `Older samples could not be fetched: ${(error as Error).message}`;
    }
  }

  /** The past of the selectors that are asked for, in this many points per series. */
  async past(
    windowMs: number,
    points: number,
    until: number | null,
    of: readonly string[] | null,
  ): Promise<readonly Past[]> {
    const url = new URL('v1/history', this.#origin);
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

  sharpenSoon(): void {
    clearTimeout(this.#sharpening);
    this.#sharpening = setTimeout(() => void this.#sharpen(), SHARPEN_AFTER_MS);
  }

  /**
   * Fetch finer points of the span that is shown, if its points were thinned for a longer window.
   */
  async #sharpen(): Promise<void> {
    const span = this.#time.windowMs.peek();
    const { thinnedUntil } = this.#store;
    const from = Math.floor(this.#time.edge - span);
    const to = Math.ceil(Math.min(this.#time.edge, thinnedUntil));
    const fine = 1.5 * (span / this.#grantedPoints);
    const known = this.#sharp.some(
      (one) => one.from <= from && one.to >= to && one.span <= 1.5 * span,
    );
    if (from >= to || this.#coarsest <= fine || known) {
      return;
    }
    try {
      const series = await this.past(to - from, this.#grantedPoints, to, this.asked);
      this.#sharp = [...this.#sharp.slice(-20), { from, to, span }];
      this.#store.refine(series, from, to);
    } catch {
      // What is shown is coarse, but correct.
    }
  }
}
