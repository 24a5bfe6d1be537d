/**
 * The dashboard of this page, already on its way to the server.
 *
 * Imported before anything that draws: while that is evaluated, the server gathers what it will show.
 */

import { Dashboard } from './dashboard.ts';
import { read } from './dashboards/address.ts';

export const address = read(location);
export const dashboard = new Dashboard(new URL(document.baseURI), address);
dashboard.start();
