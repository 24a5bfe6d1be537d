/**
 * The dashboard of this page, already on its way to the server.
 *
 * Imported before anything that draws: while that is evaluated, the server gathers what it will show.
 */

import { Dashboard } from './dashboard.ts';

export const dashboard = new Dashboard(new URL(document.baseURI));
dashboard.start();
