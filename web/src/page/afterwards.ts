/** What the page does after it is shown; loaded by itself. */

import type { Dashboard } from '../state/dashboard.ts';
import { watchReach } from '../state/reach.ts';
import { loadAhead } from './ahead.ts';
import { preparePrint } from './printing.ts';

export function goOn(dashboard: Dashboard): void {
  watchReach(dashboard, new URL(document.baseURI));
  preparePrint(dashboard);
  loadAhead(dashboard);
}
