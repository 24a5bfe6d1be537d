/** Says what the address has that the page passes over. Loaded where it has anything to read. */

import { effect } from '@preact/signals';
import { load } from '../dashboards/model.ts';
import { unplaced, unread } from '../dashboards/unread.ts';
import type { Dashboard } from '../state/dashboard.ts';
import type { View } from '../state/view.ts';

/** `search` is the query of the address that the page was opened with. */
export function sayPassedOver(search: string, dashboard: Dashboard, view: View): void {
  const say = (more: readonly string[]): void => {
    if (more.length > 0) {
      view.wrong.value = [...new Set([...view.wrong.peek(), ...more])];
    }
  };
  const name = view.name.peek();
  say(unread(search, name));
  if (unplaced(search, []).length === 0) {
    return;
  }
  if (name !== null) {
    load(new URL(document.baseURI), name).then(
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
