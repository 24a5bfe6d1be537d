/** What of the page is shown beside the data: all that its address says. */

import { batch, computed, type Signal, signal } from '@preact/signals';
import { showTheme, theme } from '../chart/theme.ts';
import { type Address, read, write } from '../dashboards/address.ts';
import type { Loaded } from '../dashboards/model.ts';
import { lines } from '../panels/shown.ts';
import type { Dashboard } from './dashboard.ts';

/** State of an entry before which there is one of the same dashboard that isn't edited. */
const EDITED = { edited: true };

export class View {
  readonly panel: string | null;
  readonly kiosk: boolean;
  /** Of the dashboard; null for all metrics. */
  readonly name: Signal<string | null>;
  readonly edit: Signal<boolean>;
  /** Of the dashboard's variables. */
  readonly values: Signal<Readonly<Record<string, string>>>;
  /** What in the address can't be read. */
  readonly wrong: Signal<readonly string[]>;
  /** Asked before editing is left by Back; true if it isn't to be left. */
  keepsEditing: () => boolean = () => false;
  /** Whether what changes now isn't somebody's doing, and no step to go back. */
  quiet = false;
  /** What is kept under the first name, on its way; null once it was taken. */
  loading: Promise<Loaded> | null;
  private readonly dashboard: Dashboard;

  constructor(
    dashboard: Dashboard,
    address: Address & { readonly wrong: readonly string[] },
    loading: Promise<Loaded> | null,
  ) {
    this.loading = loading;
    this.dashboard = dashboard;
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
    const { chosen, heldAt, liveMs, windowMs, usual } = this.dashboard.time;
    const { filter } = this.dashboard;
    const to = heldAt.value;
    const [span, live] = [windowMs.value, liveMs.value];
    // The window may be another one elsewhere, where nobody has chosen it.
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

  /** The address of what is shown, but for some of it. */
  href(but: Partial<Address> = {}): string {
    return write({ ...this.address.value, ...but });
  }

  /** Show what another address says of the same dashboard. */
  show(address: Address & { readonly wrong: readonly string[] }): void {
    batch(() => {
      this.edit.value = address.edit;
      this.values.value = address.values;
      this.wrong.value = address.wrong;
      lines.value = address.lines;
      this.dashboard.filter.value = address.search;
      showTheme(address.theme ?? 'system');
      this.dashboard.time.look(address);
    });
  }

  /** Have Back lead from an editor that was opened by its address to what it edits. */
  leaveWayBack(): void {
    if (history.state?.edited !== true) {
      history.replaceState(null, '', this.href({ edit: false }));
      history.pushState(EDITED, '', this.href());
    }
  }

  /** Whether what changes now is still the same zoom. */
  get rezooming(): boolean {
    return this.dashboard.time.rezooming;
  }

  /** Change something that is no step to go back. */
  quietly(change: () => void): void {
    this.quiet = true;
    try {
      change();
    } finally {
      this.quiet = false;
    }
  }
}

/** Milliseconds within which one goes on with what one did: a drag, or writing a word. */
const ONGOING_MS = 1_500;
/** Browsers take some hundred changes of an address in half a minute, and drop what is more. */
const PACE_MS = 250;

/** Have the address say what is shown, and what is shown follow Back and Forward. */
export function followAddress(view: View): void {
  let shown = view.address.peek();
  let changedAt = Number.NEGATIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };
  const replace = (): void => {
    wait();
    history.replaceState(history.state, '', write(view.address.peek()));
  };
  replace();
  view.address.subscribe((next) => {
    const before = shown;
    shown = next;
    if (write(before) === write(next)) {
      return;
    }
    const now = performance.now();
    const ongoing = now - changedAt < ONGOING_MS && goesOn(before, next, view.rezooming);
    changedAt = now;
    if (view.quiet) {
      replace();
    } else if (ongoing) {
      timer ??= setTimeout(replace, PACE_MS);
    } else {
      wait();
      history.replaceState(history.state, '', write(before));
      history.pushState(next.edit ? EDITED : null, '', write(next));
    }
  });
  addEventListener('pagehide', () => {
    if (timer !== undefined) {
      replace();
    }
  });
  addEventListener('popstate', () => {
    wait();
    const next = read(location);
    if (next.name !== view.name.peek() || next.panel !== view.panel || next.kiosk !== view.kiosk) {
      location.reload();
    } else if (view.edit.peek() && !next.edit && view.keepsEditing()) {
      history.forward();
    } else {
      view.quietly(() => view.show(next));
    }
  });
}

/** Whether the second is one more step of what led to the first. */
function goesOn(before: Address, next: Address, rezooming: boolean): boolean {
  const held = before.held !== null && next.held !== null;
  const panned = held && (rezooming || before.held?.span === next.held?.span);
  const searched = before.search !== '' && next.search !== '';
  const same = { ...next };
  return (
    (panned && write({ ...same, held: before.held }) === write(before)) ||
    (searched && write({ ...same, search: before.search }) === write(before))
  );
}
