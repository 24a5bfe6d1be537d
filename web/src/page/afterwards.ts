/** What the page does after it is shown; loaded by itself. */

import { loadPart } from '../browser/part.ts';
import type { Loaded } from '../dashboards/model.ts';
import { followAddress } from '../state/address-bar.ts';
import type { Dashboard } from '../state/dashboard.ts';
import { watchReach } from '../state/reach.ts';
import type { View } from '../state/view.ts';
import { loadAhead } from './ahead.ts';
import { preparePrint } from './printing.ts';

/** `loading` is the saved dashboard in the address; null on the page of all metrics. */
export function goOn(dashboard: Dashboard, view: View, loading: Promise<Loaded> | null): void {
  followAddress(view);
  watchReach(dashboard, new URL(document.baseURI));
  preparePrint(dashboard);
  loadAhead(dashboard);
  // The address has been written anew, without what means nothing.
  const [opened] = performance.getEntriesByType('navigation');
  const { search } = new URL(opened?.name ?? location.href);
  if (search !== '') {
    void loadPart(() => import('./passed-over.ts')).then(({ sayPassedOver }) =>
      sayPassedOver(search, dashboard, view, loading),
    );
  }
}
