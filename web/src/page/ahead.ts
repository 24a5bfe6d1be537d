/**
 * Loads parts that the pointer, a key or an outage may need before they are needed: once data has
 * come and the page is idle. Later the server may be away, or have another version of the page.
 */

import { effect } from '@preact/signals';
import type { Dashboard } from '../state/dashboard.ts';

/** The page loads what it shows during these first milliseconds. */
const AFTER_MS = 3_000;

const parts = [
  () => import('../ui/chart/tip.tsx'),
  () => import('../ui/chart/pin.tsx'),
  () => import('../ui/panel/remarks.tsx'),
  () => import('../ui/panel/words.tsx'),
  () => import('../ui/header/sheet.tsx'),
  () => import('./wrong.tsx'),
  () => import('./empty.tsx'),
  () => import('./leave.tsx'),
  () => import('../ui/chart/states.tsx'),
  () => import('../ui/panel/saving.ts'),
  () => import('../ui/panel/figures.tsx'),
  () => import('../panels/search.ts'),
  () => import('../client/links/lesser.ts'),
];

/** Load all of these parts, some time after data first came. */
export function loadAhead({ freshness }: Dashboard): void {
  let begun = false;
  effect(() => {
    if (!begun && freshness.value === 'live') {
      begun = true;
      setTimeout(load, AFTER_MS);
    }
  });
}

function load(): void {
  for (const part of parts) {
    // A part that fails is loaded when it is needed.
    part().catch(() => {});
  }
}
