import type { Kind, Labels } from '../client/index.ts';
import { natural } from '../format/natural.ts';
import { printable } from '../format/printable.ts';
import type { Format } from '../format/units.ts';
import { isRate } from './rate.ts';
import type { Series } from './series.ts';

/** A place among the colours of lines, or a colour of one's own for a theme with these. */
export type Colour = number | ((lines: readonly string[]) => string);

/** The label values of one line that tell it from the other lines of its panel. */
export interface Member {
  readonly series: Series;
  /** Short text for a legend; empty where the panel has one line only. */
  readonly title: string;
  /** Its place among the colours, which it keeps while other lines come and go. */
  readonly colour: Colour;
  /** Where its values lead. */
  readonly links?: readonly { readonly title: string; readonly url: string }[];
  /** How its values are written, if not as those of its panel. */
  readonly format?: Format;
}

/** All series of one metric that have the same kind and unit. */
export class Panel {
  readonly key: string;
  readonly name: string;
  readonly kind: Kind;
  readonly unit: string;
  readonly sources: ReadonlySet<Panel>;
  /** Whether counters are shown as their own values rather than as their change per second. */
  readonly raw: boolean;
  /** How many other series the selector matches that have another unit or kind, by these. */
  omitted: ReadonlyMap<string, number> = new Map();
  /** Ordered by labels. */
  members: readonly Member[] = [];
  /** Labels that all lines have in common. */
  common: Labels = {};
  /** Names of the labels whose values differ between lines. */
  distinguishing: readonly string[] = [];

  readonly #all = new Map<Series, number>();
  /** What lines are called, where somebody says so. */
  readonly #legends = new Map<Series, string>();

  /** `sources` are the panels of the store whose series this one shows; only itself if left out. */
  constructor(series: Series, sources?: ReadonlySet<Panel>, raw = false) {
    this.sources = sources ?? new Set([this]);
    this.raw = raw;
    this.key = panelKey(series);
    this.name = series.name;
    this.kind = series.kind;
    this.unit = series.unit;
  }

  get help(): string {
    // The help of one metric does not describe several.
    const several = this.members.some(({ series }) => series.name !== this.name);
    return several ? '' : (this.members.find(({ series }) => series.help)?.series.help ?? '');
  }

  /** Whether its values are changes per second. */
  get rate(): boolean {
    return isRate(this.kind) && !this.raw;
  }

  get empty(): boolean {
    return this.#all.size === 0;
  }

  /** `legend` says what its line is called, with labels in it: `{{host}} reads`. */
  add(series: Series, legend?: string): void {
    if (!this.#all.has(series)) {
      this.#all.set(series, this.#freeColour());
      if (legend !== undefined) {
        this.#legends.set(series, legend);
      }
    }
  }

  remove(series: Series): void {
    this.#all.delete(series);
  }

  /** Update order, colours and titles after series were added or removed. */
  arrange(): void {
    const series = [...this.#all.keys()];
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
        title: printable(
          titled(this.#legends.get(one), one) ??
            [
              ...(metrics > 1 ? [one.name] : []),
              ...this.distinguishing.map((name) => one.labels[name] ?? '–'),
            ].join(' · '),
        ),
        colour: this.#all.get(one)!,
      }))
      .sort((a, b) => natural(a.title, b.title));
  }

  #freeColour(): number {
    const taken = new Set(this.#all.values());
    let colour = 0;
    while (taken.has(colour)) {
      colour += 1;
    }
    return colour;
  }
}

/** What a line is called by a legend with labels in it: `{{host}} reads`. */
export function titled<Legend extends string | undefined>(
  legend: Legend,
  { labels }: Pick<Series, 'labels'>,
): Legend {
  return legend?.replace(/\{\{\s*(.*?)\s*\}\}/g, (_, label) => labels[label] ?? '') as Legend;
}

/** Series with the same key share a panel, because they fit on one axis. */
export function panelKey(series: Series): string {
  return `${series.name} ${series.kind} ${series.unit}`;
}

/** Panels by name, with numbers in names in numeric order: load2 before load10. */
export function byName(a: Panel, b: Panel): number {
  return natural(a.key, b.key);
}
