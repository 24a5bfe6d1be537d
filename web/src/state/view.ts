/** What the page shows apart from the data: all that its address says. */

import { batch, computed, type Signal, signal } from '@preact/signals';
import { showTheme, theme } from '../chart/theme.ts';
import { type Address, write } from '../dashboards/address.ts';
import type { Loaded } from '../dashboards/model.ts';
import { lines } from '../panels/shown.ts';
import type { Dashboard } from './dashboard.ts';

/** The state of a history entry that follows one of the same dashboard which isn't being edited. */
export const EDITED = { edited: true };

export class View {
  readonly panel: string | null;
  readonly kiosk: boolean;
  /** The name of the dashboard; null for all metrics. */
  readonly name: Signal<string | null>;
  readonly edit: Signal<boolean>;
  /** The values of the dashboard's variables. */
  readonly values: Signal<Address['values']>;
  /** The parts of the address that can't be read. */
  readonly wrong: Signal<readonly string[]>;
  /** Asked before Back leaves the editor; true to stay. */
  keepsEditing: () => boolean = () => false;
  /** Whether the present change was not made by the viewer, and so is no step to go back to. */
  quiet = false;
  /** The saved dashboard of the first name while it is loading; null once it was taken. */
  loading: Promise<Loaded> | null;
  readonly #dashboard: Dashboard;

  constructor(
    dashboard: Dashboard,
    address: Address & { readonly wrong: readonly string[] },
    loading: Promise<Loaded> | null,
  ) {
    this.loading = loading;
    this.#dashboard = dashboard;
    this.panel = address.panel;
    this.kiosk = address.kiosk;
    this.name = signal(address.name);
    this.edit = signal(address.edit);
    this.values = signal(address.values);
    this.wrong = signal(address.wrong);
    lines.value = address.lines;
    dashboard.filter.value = address.search;
  }

  readonly address = computed<Address>(() => {
    const { chosen, heldAt, liveMs, windowMs, usual } = this.#dashboard.time;
    const { filter } = this.#dashboard;
    const to = heldAt.value;
    const [span, live] = [windowMs.value, liveMs.value];
    // The window may be a different one elsewhere if nobody chose it.
    const asUsual = span === live && (chosen.value || usual.value !== null);
    return {
      name: this.name.value,
      panel: this.panel,
      kiosk: this.kiosk,
      edit: this.edit.value,
      window: chosen.value ? live : null,
      held: to === null ? null : { to, span: asUsual ? null : span },
      theme: theme.value === 'system' ? null : theme.value,
      search: filter.value,
      lines: lines.value,
      values: this.values.value,
    };
  });

  /** The address of what is shown, with some parts changed. */
  href(but: Partial<Address> = {}): string {
    return write({ ...this.address.value, ...but });
  }

  /** Show what another address of the same dashboard says. */
  show(address: Address & { readonly wrong: readonly string[] }): void {
    batch(() => {
      this.edit.value = address.edit;
      this.values.value = address.values;
      this.wrong.value = address.wrong;
      lines.value = address.lines;
      this.#dashboard.filter.value = address.search;
      showTheme(address.theme ?? 'system');
      this.#dashboard.time.look(address);
    });
  }

  /**
   * Make Back lead from an editor that was opened by its address to the dashboard that it edits.
   */
  leaveWayBack(): void {
    if (history.state?.edited !== true) {
      history.replaceState(null, '', this.href({ edit: false }));
      history.pushState(EDITED, '', this.href());
    }
  }

  /** Whether the present change still belongs to the last zoom. */
  get rezooming(): boolean {
    return this.#dashboard.time.rezooming;
  }

  /** Make a change that is no step to go back to. */
  quietly(change: () => void): void {
    this.quiet = true;
    try {
      change();
    } finally {
      this.quiet = false;
    }
  }
}
