/**
 * The dashboard of this page, already on its way to the server; null where another page is asked
 * for.
 *
 * Imported before anything that draws: while that is evaluated, the server gathers what it will show.
 */

import { Dashboard } from './dashboard.ts';

export const origin = new URL('/', location.href);
export const dashboard = location.pathname === '/doctor' ? null : new Dashboard(origin);
dashboard?.start();
