import type { Kind, Labels } from '../client/index.ts';
import { natural } from '../format/natural.ts';
import { printable } from '../format/printable.ts';
import { isRate } from './rate.ts';
import type { Series } from './series.ts';

/** Label values of one line: what tells it from the others of its panel. */
export interface Member {
  readonly series: Series;
  /** Short text for a legend; empty where the panel has one line only. */
  readonly title: string;
  /** Which colour it has; stays with it while others come and go. */
  readonly colour: number;
}

/** All series of one metric, that are measured alike. */
export class Panel {
  readonly key: string;
  readonly name: string;
  readonly kind: Kind;
  readonly unit: string;
  readonly sources: ReadonlySet<Panel>;
  /** Whether counters are shown as they count, rather than as their change per second. */
  readonly raw: boolean;
  /** Series that were meant as well and are another panel's, by unit and kind: how many. */
  omitted: ReadonlyMap<string, number> = new Map();
  /** Ordered by labels. */
  members: readonly Member[] = [];
  /** Labels that all lines have in common. */
  common: Labels = {};
  /** Names of the labels that tell lines apart. */
  distinguishing: readonly string[] = [];

  private readonly all = new Map<Series, number>();

  /** `sources` are the panels of the store that this one's series are of; itself if left out. */
  constructor(series: Series, sources?: ReadonlySet<Panel>, raw = false) {
    this.sources = sources ?? new Set([this]);
    this.raw = raw;
    this.key = panelKey(series);
    this.name = series.name;
    this.kind = series.kind;
    this.unit = series.unit;
  }

  get help(): string {
    // Of several metrics one's help is not that of the others.
    const several = this.members.some(({ series }) => series.name !== this.name);
    return several ? '' : (this.members.find(({ series }) => series.help)?.series.help ?? '');
  }

  /** Whether its values are changes per second. */
  get rate(): boolean {
    return isRate(this.kind) && !this.raw;
  }

  get empty(): boolean {
    return this.all.size === 0;
  }

  add(series: Series): void {
    if (!this.all.has(series)) {
      this.all.set(series, this.freeColour());
    }
  }

  remove(series: Series): void {
    this.all.delete(series);
  }

  /** Work out order, colours and titles after series came or went. */
  arrange(): void {
    const series = [...this.all.keys()];
    const names = [...new Set(series.flatMap(({ labels }) => Object.keys(labels)))].sort();
    const same = (name: string): boolean =>
      series.every(({ labels }) => labels[name] === series[0]!.labels[name]);
    this.distinguishing = names.filter((name) => !same(name));
    this.common = Object.fromEntries(
      names.filter(same).map((name) => [name, series[0]!.labels[name]!]),
    );
    const metrics = new Set(series.map(({ name }) => name)).size;
    this.members = series
      .map((one) => ({
        series: one,
        title: [
          ...(metrics > 1 ? [one.name] : []),
          ...this.distinguishing.map((name) => one.labels[name] ?? '–'),
        ]
          .map(printable)
          .join(' · '),
        colour: this.all.get(one)!,
      }))
      .sort((a, b) => natural(a.title, b.title));
  }

  private freeColour(): number {
    const taken = new Set(this.all.values());
    let colour = 0;
    while (taken.has(colour)) {
      colour += 1;
    }
    return colour;
  }
}

/** Series with the same key share a panel: the same axis fits them. */
export function panelKey(series: Series): string {
  return `${series.name} ${series.kind} ${series.unit}`;
}

/** Panels in the order of names as people count: load2 before load10. */
export function byName(a: Panel, b: Panel): number {
  return natural(a.key, b.key);
}
