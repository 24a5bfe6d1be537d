/** Everything the page knows: series by identity, refs of this epoch, panels, and changes. */

import type { Description, Document, Labels, Points, Value } from '../client/index.ts';
import { natural } from '../format/natural.ts';
import { byName, Panel, panelKey } from './panel.ts';
import { type Described, identityOf, Series } from './series.ts';

const REPLAY_MS = 1000;
/** Milliseconds without samples after which those that waited come merged. */
const SILENCE_MS = 1500;
/** The number of points over which the samples per point are averaged. */
const DENSITY_POINTS = 12;

/** Called after each document. */
export interface Observer {
  /** Panels were added or removed, or have other lines. */
  arranged(panels: readonly Panel[]): void;
  /** These panels have new points. */
  changed(panels: ReadonlySet<Panel>): void;
}

/** Unix milliseconds at the stages of a sample's way. */
export interface Arrival {
  /** The time of the newest sample, by its producer. */
  readonly time: number;
  /** When the server made the frame, by the server's clock. */
  readonly sent: number;
  /** When it arrived, by this browser's clock. */
  readonly at: number;
}

/** A series as in the answer of `GET /v1/history`. */
export type Past = Omit<Description, 'ref'> & {
  readonly points: readonly (readonly [number, Value])[];
  readonly ended?: readonly number[];
};

export class Store {
  /** The number of samples that arrived, including those merged into points. */
  samples = 0;
  /** The number of these that were not replayed. */
  published = 0;
  /** When samples last arrived, by `Date.now()`; NaN before the first. */
  lastPointsAt = Number.NaN;
  /** The time of the newest sample of all series. */
  newest = Number.NEGATIVE_INFINITY;
  /** The time of the oldest sample that arrived. */
  oldest = Number.POSITIVE_INFINITY;
  /**
   * The stages of the newest sample of the last frame that was not replayed; null before the first.
   */
  arrival: Arrival | null = null;
  /** Whether a series is asked for. A stream that tabs share brings others, too. */
  meant: (name: string, labels: Labels) => boolean = () => true;
  /** Milliseconds that a point of the thinned history stands for; 0 if it is not thinned. */
  thinnedMs = 0;
  /** The time of the newest point of a thinned history. */
  thinnedUntil = Number.NEGATIVE_INFINITY;
  /**
   * Whether the list of all series is fetched. Then series that aren't asked for are kept as well.
   */
  listed = false;
  /** Whether the server has said which series there are, even if there are none. */
  described = false;

  readonly #series = new Map<string, Series>();
  readonly #panelOf = new Map<Series, Panel>();
  readonly #panels = new Map<string, Panel>();
  #refs = new Map<number, Series>();
  /** Colours are assigned in the order of labels, so that the same lines always look the same. */
  readonly #joining: [Panel, Series][] = [];
  #epoch: string | null = null;
  #helloAt = Number.NEGATIVE_INFINITY;
  /** When samples last came after such a silence. */
  #resumedAt = Number.NEGATIVE_INFINITY;
  readonly #observer: Observer;

  constructor(observer: Observer) {
    this.#observer = observer;
  }

  /** The series that the server still has. */
  get live(): number {
    let count = 0;
    for (const { gone } of this.#series.values()) {
      count += gone ? 0 : 1;
    }
    return count;
  }

  /** Whether there are series other than states, for which samples are expected regularly. */
  get counts(): boolean {
    for (const { gone, kind, watched } of this.#series.values()) {
      if (watched && !gone && kind !== 'state') {
        return true;
      }
    }
    return false;
  }

  /** The usual milliseconds between samples of the most frequent series; 0 while unknown. */
  get interval(): number {
    let least = 0;
    for (const { gone, interval, watched } of this.#series.values()) {
      if (watched && !gone && interval > 0 && (least === 0 || interval < least)) {
        least = interval;
      }
    }
    return least;
  }

  find(name: string, labels: Readonly<Record<string, string>>): Series | undefined {
    return this.#series.get(identityOf(name, labels));
  }

  take(document: Document): void {
    switch (document.type) {
      case 'hello':
        this.#helloAt = Date.now();
        this.arrival = null;
        if (document.epoch !== this.#epoch) {
          this.#refs = new Map();
          this.#epoch = document.epoch;
          // The server describes the series that it has next.
          for (const series of this.#series.values()) {
            series.gone ||= series.watched;
          }
        }
        break;
      case 'points':
        this.#points(document);
        break;
      case 'gap':
        for (const series of this.#series.values()) {
          series.break();
        }
        break;
      case 'gone':
        for (const ref of document.refs) {
          const series = this.#refs.get(ref);
          if (series !== undefined) {
            series.gone = true;
            this.#refs.delete(ref);
          }
        }
        break;
      default:
        break;
    }
  }

  /** The points that follow may repeat earlier ones. */
  expectRepeats(): void {
    for (const series of this.#series.values()) {
      series.expectRepeats();
    }
  }

  /**
   * Add the answer of `GET /v1/history`, thinned to points at most `interval` milliseconds apart.
   */
  backfill(answer: readonly Past[], interval: number): void {
    const changed = new Set<Panel>();
    for (const { points, ended, ...description } of answer) {
      // A series that the stream has not described is gone, or its history will come with the
      // stream.
      const series = this.#series.get(identityOf(description.name, description.labels));
      if (series !== undefined) {
        series.backfill(points, interval);
        for (const time of ended ?? []) {
          series.end(time);
        }
        changed.add(this.#panelOf.get(series)!);
      }
    }
    this.#observer.changed(changed);
  }

  /** Replace points from one time to another by finer ones from `GET /v1/history`. */
  refine(answer: readonly Past[], from: number, to: number): void {
    const changed = new Set<Panel>();
    for (const { name, labels, points } of answer) {
      const series = this.#series.get(identityOf(name, labels));
      if (series !== undefined) {
        series.refine(from, to, points);
        changed.add(this.#panelOf.get(series)!);
      }
    }
    this.#observer.changed(changed);
  }

  /** Forget the series that are no longer asked for. */
  retain(meant: (name: string, labels: Labels) => boolean): void {
    this.meant = meant;
    for (const [ref, { name, labels }] of this.#refs) {
      if (!meant(name, labels)) {
        this.#refs.delete(ref);
      }
    }
    for (const series of this.#series.values()) {
      const watched = meant(series.name, series.labels);
      if (watched && !series.watched) {
        series.forget();
      }
      series.watched = watched;
      if (!watched && !this.listed) {
        this.#series.delete(series.identity);
        this.#leave(series);
      }
    }
    this.#arrange(this.#panels.values());
  }

  /** Forget points before a time, and series that are gone and have no points left. */
  trim(before: number): void {
    let removed = false;
    for (const series of this.#series.values()) {
      series.trim(before);
      if (series.gone && !(series.lastTime >= before)) {
        this.#series.delete(series.identity);
        this.#leave(series);
        removed = true;
      }
    }
    if (removed) {
      this.#arrange(this.#panels.values());
    }
  }

  /** Whether one of the series is matched by both matchers. */
  overlap(
    these: (name: string, labels: Labels) => boolean,
    those: (name: string, labels: Labels) => boolean,
  ): boolean {
    for (const { name, labels } of this.#series.values()) {
      if (these(name, labels) && those(name, labels)) {
        return true;
      }
    }
    return false;
  }

  /** Add the list of all series, whether asked for or not. */
  list(listed: readonly Described[]): void {
    const there = new Set<string>();
    const arranged = new Set<Panel>();
    for (const description of listed) {
      const identity = identityOf(description.name, description.labels);
      there.add(identity);
      const known = this.#series.get(identity);
      if (known === undefined || !known.watched) {
        this.#know(identity, description, arranged);
      }
    }
    for (const series of this.#series.values()) {
      // The stream describes series that are asked for.
      series.gone ||= !series.watched && !there.has(series.identity);
    }
    this.described = true;
    if (arranged.size > 0) {
      this.#arrange(arranged);
    }
  }

  #points(document: Points): void {
    this.described = true;
    const arranged = new Set<Panel>();
    for (const description of document.series ?? []) {
      this.#describe(description, arranged);
    }
    if (arranged.size > 0) {
      this.#arrange(arranged);
    }
    const changed = new Set<Panel>();
    // The points directly after a hello are the past.
    const now = Date.now();
    const fresh = now - this.#helloAt > REPLAY_MS;
    if (now - this.lastPointsAt > SILENCE_MS) {
      this.#resumedAt = now;
    }
    const usual = fresh && now - this.#resumedAt > REPLAY_MS;
    const past = document.time === undefined;
    let newest = Number.NEGATIVE_INFINITY;
    let { oldest, published, samples } = this;
    let of: number | null = null;
    let series: Series | undefined;
    // The past is long and comes series by series: do as little as possible for each point.
    for (const point of document.points) {
      if (point[0] !== of) {
        of = point[0];
        series = this.#refs.get(of);
        if (series !== undefined) {
          changed.add(this.#panelOf.get(series)!);
        }
      }
      if (series === undefined) {
        continue;
      }
      const time = point[1];
      const thinned = past && point[5] !== undefined ? this.thinnedMs : 0;
      series.put(time, point[2], point[3], point[4], fresh, thinned);
      if (thinned > 0 && time > this.thinnedUntil) {
        this.thinnedUntil = time;
      }
      newest = time > newest ? time : newest;
      oldest = time < oldest ? time : oldest;
      const count = point[5] ?? 1;
      samples += count;
      published += fresh ? count : 0;
      if (usual) {
        // A producer as frequent as the stream sometimes has two samples in a frame; that is not
        // merging.
        series.density += (count - series.density) / DENSITY_POINTS;
      }
    }
    for (const [ref, time] of document.ended ?? []) {
      const ending = this.#refs.get(ref);
      if (ending !== undefined) {
        ending.end(time);
        changed.add(this.#panelOf.get(ending)!);
      }
    }
    this.oldest = oldest;
    this.samples = samples;
    this.published = published;
    this.newest = Math.max(this.newest, newest);
    if (document.time !== undefined && Number.isFinite(newest)) {
      this.arrival = { time: newest, sent: document.time, at: now };
    }
    if (document.points.length > 0) {
      this.lastPointsAt = now;
    }
    if (changed.size > 0) {
      this.#observer.changed(changed);
    }
  }

  #describe(description: Description, arranged: Set<Panel>): void {
    if (!this.meant(description.name, description.labels)) {
      this.#refs.delete(description.ref);
      return;
    }
    const identity = identityOf(description.name, description.labels);
    this.#refs.set(description.ref, this.#know(identity, description, arranged));
  }

  #know(identity: string, description: Described, arranged: Set<Panel>): Series {
    let series = this.#series.get(identity);
    if (series === undefined) {
      series = new Series(description);
      series.watched = this.meant(description.name, description.labels);
      this.#series.set(identity, series);
    } else {
      series.describe(description);
    }
    const key = panelKey(series);
    const before = this.#panelOf.get(series);
    if (before?.key === key) {
      return series;
    }
    if (before !== undefined) {
      this.#leave(series);
      arranged.add(before);
    }
    let panel = this.#panels.get(key);
    if (panel === undefined) {
      panel = new Panel(series);
      this.#panels.set(key, panel);
    }
    this.#panelOf.set(series, panel);
    arranged.add(panel);
    this.#joining.push([panel, series]);
    return series;
  }

  #leave(series: Series): void {
    this.#panelOf.get(series)?.remove(series);
    this.#panelOf.delete(series);
  }

  #arrange(panels: Iterable<Panel>): void {
    this.#joining.sort(([, a], [, b]) => natural(a.identity, b.identity));
    for (const [panel, series] of this.#joining.splice(0)) {
      panel.add(series);
    }
    for (const panel of panels) {
      if (panel.empty) {
        this.#panels.delete(panel.key);
      } else {
        panel.arrange();
      }
    }
    this.#observer.arranged([...this.#panels.values()].sort(byName));
  }
}
