/**
 * The dashboard of this page, already on its way to the server.
 *
 * Imported before anything that draws: while that is evaluated, the server gathers what it will show.
 */

import { read } from './dashboards/address.ts';
import { selectorsOf } from './dashboards/asking.ts';
import { load } from './dashboards/model.ts';
import { Dashboard } from './state/dashboard.ts';

export const address = read(location);
export const dashboard = new Dashboard(new URL(document.baseURI), address);
dashboard.start();

/** What is kept under the name that was asked for; null where all metrics are shown. */
export const loading = address.name === null ? null : load(new URL(document.baseURI), address.name);
if (loading === null && !address.edit) {
  void dashboard.askInSight();
} else if (address.edit) {
  dashboard.ask(null);
}
loading?.then(
  ({ kept }) => {
    if (!address.edit) {
      dashboard.ask(selectorsOf(kept, address.values, address.panel));
    }
  },
  // Why is told by the board, which then asks for nothing.
  () => {},
);
