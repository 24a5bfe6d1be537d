/** A dashboard that is being edited, with undo and redo. */

import { computed, type Signal, signal } from '@preact/signals';
import type { Kept } from '../../dashboards/model.ts';
import { type Placed, settle } from './layout.ts';

/** The most steps that can be undone. */
const MOST_STEPS = 200;

export interface Arranged extends Kept {
  readonly panels: readonly Placed[];
}

export class Draft {
  readonly current: Signal<Arranged>;
  readonly undoable = computed(() => this.#past.value.length > 0);
  readonly redoable = computed(() => this.#future.value.length > 0);
  /** Whether it differs from what is saved. */
  readonly dirty = computed(() => this.current.value !== this.#kept.value);

  readonly #kept: Signal<Arranged | null>;
  readonly #past: Signal<readonly Arranged[]> = signal([]);
  readonly #future: Signal<readonly Arranged[]> = signal([]);

  /** `kept` says whether it is what the service has saved. */
  constructor(dashboard: Kept, kept: boolean) {
    this.current = signal({ ...dashboard, panels: settle(dashboard.panels) });
    this.#kept = signal(kept ? this.current.value : null);
  }

  change(next: Kept): void {
    this.#past.value = [...this.#past.value, this.current.value].slice(-MOST_STEPS);
    this.#future.value = [];
    this.current.value = { ...next, panels: settle(next.panels) };
  }

  /** Change the panels alone. */
  arrange(panels: readonly Placed[]): void {
    const before = this.current.value.panels;
    if (JSON.stringify(before) !== JSON.stringify(panels)) {
      this.change({ ...this.current.value, panels });
    }
  }

  undo(): void {
    const before = this.#past.value.at(-1);
    if (before !== undefined) {
      this.#past.value = this.#past.value.slice(0, -1);
      this.#future.value = [this.current.value, ...this.#future.value];
      this.current.value = before;
    }
  }

  redo(): void {
    const [next, ...rest] = this.#future.value;
    if (next !== undefined) {
      this.#future.value = rest;
      this.#past.value = [...this.#past.value, this.current.value];
      this.current.value = next;
    }
  }

  /** What was sent has been saved. */
  written(dashboard: Arranged): void {
    this.#kept.value = dashboard;
  }

  /** Start again from what somebody else has saved. */
  replace(dashboard: Kept): void {
    this.change(dashboard);
    this.written(this.current.value);
  }
}
