/** What the page does once it is shown, loaded by itself. */

import type { Dashboard } from '../state/dashboard.ts';
import { loadAhead } from './ahead.ts';
import { preparePrint } from './printing.ts';

export function goOn(dashboard: Dashboard): void {
  preparePrint(dashboard);
  loadAhead(dashboard);
}
