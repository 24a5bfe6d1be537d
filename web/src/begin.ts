/**
 * The model of this page, whose first request is already on its way to the server.
 *
 * Imported before anything that draws, so that the server prepares its answer while the other
 * modules are evaluated.
 */

import { read } from './dashboards/address.ts';
import { isPlain, selectorsOf } from './dashboards/asking.ts';
import { load } from './dashboards/model.ts';
import { Dashboard } from './state/dashboard.ts';

export const address = read(location);
export const dashboard = new Dashboard(new URL(document.baseURI), address);
dashboard.start();

/** The saved dashboard of the name in the address; null for the page of all metrics. */
export const loading = address.name === null ? null : load(new URL(document.baseURI), address.name);
if (loading === null && !address.edit) {
  void dashboard.askInSight();
} else if (address.edit) {
  dashboard.ask(null);
}
loading?.then(
  ({ kept }) => {
    if (!address.edit && isPlain(kept)) {
      const { panels } = kept;
      const selectors = selectorsOf(
        address.panel === null ? panels : panels.filter(({ id }) => id === address.panel),
      );
      if (selectors !== null) {
        dashboard.ask(selectors);
      }
    }
  },
  // The board says why, and asks for nothing then.
  () => {},
);
