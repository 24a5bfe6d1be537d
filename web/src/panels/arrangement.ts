/** How the viewer arranged the page of all metrics, saved in this browser. */

import { type Signal, signal } from '@preact/signals';
import { recall, remember } from '../browser/settings.ts';

/** The most keys that are saved: metrics come and go over the months. */
const MOST = 1_000;

/** A set of panels, by key, that is saved in this browser. */
export class Choice {
  readonly keys: Signal<ReadonlySet<string>>;
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
    this.keys = signal(new Set(read(name)));
  }

  has(key: string): boolean {
    return this.keys.value.has(key);
  }

  toggle(key: string): void {
    const keys = new Set(this.keys.value);
    if (!keys.delete(key)) {
      keys.add(key);
    }
    this.#keep(keys);
  }

  clear(): void {
    this.#keep(new Set());
  }

  #keep(keys: ReadonlySet<string>): void {
    this.keys.value = keys;
    remember(this.#name, JSON.stringify([...keys].slice(-MOST)));
  }
}

export const collapsed = new Choice('pushsvc.collapsed');
export const hidden = new Choice('pushsvc.hidden');
/** Rows of dashboards that are folded, or aren't, other than at first. */
export const turned = new Choice('pushsvc.rows');
/** Panels that are shown as tables. */
export const tabular = new Choice('pushsvc.tables');

function read(name: string): string[] {
  try {
    const kept: unknown = JSON.parse(recall(name) ?? '[]');
    return Array.isArray(kept) ? kept.filter((key) => typeof key === 'string') : [];
  } catch {
    return [];
  }
}

/** Whether legends show minimum, maximum and mean beside the last value. */
export const detailed: Signal<boolean> = signal(recall('pushsvc.detailed') === 'yes');

export function tellDetails(wanted: boolean): void {
  detailed.value = wanted;
  remember('pushsvc.detailed', wanted ? 'yes' : 'no');
}
