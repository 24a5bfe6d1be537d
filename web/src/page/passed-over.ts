/** Says what the page ignores in its address. Loaded if the address has a query. */

import { effect } from '@preact/signals';
import type { Loaded } from '../dashboards/model.ts';
import { unplaced, unread } from '../dashboards/unread.ts';
import type { Dashboard } from '../state/dashboard.ts';
import type { View } from '../state/view.ts';

/**
 * `search` is the query of the address that the page was opened with, `loading` the dashboard that it
 * names; null on the page of all metrics.
 */
export function sayPassedOver(
  search: string,
  dashboard: Dashboard,
  view: View,
  loading: Promise<Loaded> | null,
): void {
  const say = (more: readonly string[]): void => {
    if (more.length > 0) {
      view.wrong.value = [...new Set([...view.wrong.peek(), ...more])];
    }
  };
  say(unread(search, view.name.peek()));
  if (unplaced(search, []).length === 0) {
    return;
  }
  if (loading !== null) {
    loading.then(
      ({ kept }) =>
        say(
          unplaced(
            search,
            kept.panels.map(({ id }) => id),
          ),
        ),
      // The board says why it can't be loaded.
      () => {},
    );
    return;
  }
  const stop = effect(() => {
    if (dashboard.described.value) {
      say(
        unplaced(
          search,
          dashboard.panels.peek().map(({ key }) => key),
        ),
      );
      queueMicrotask(() => stop());
    }
  });
}
