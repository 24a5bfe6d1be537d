/**
 * What the pointer, a key or an outage may want is loaded before it is wanted, once data comes and the
 * page has nothing to do: by then the server may be away, or have another version of the page.
 */

import { effect } from '@preact/signals';
import type { Dashboard } from '../state/dashboard.ts';

/** Milliseconds that the page has for what is shown. */
const AFTER_MS = 3_000;

const parts = [
  () => import('../ui/chart/tip.tsx'),
  () => import('../ui/chart/pin.tsx'),
  () => import('../ui/panel/silence.tsx'),
  () => import('../ui/header/sheet.tsx'),
  () => import('./wrong.tsx'),
  () => import('./empty.tsx'),
  () => import('./leave.tsx'),
  () => import('../ui/chart/states.tsx'),
  () => import('../ui/panel/saving.ts'),
  () => import('../ui/panel/figures.tsx'),
  () => import('../panels/search.ts'),
];

/** Load all of that, some time after data came first. */
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
    // One that fails is loaded when it is wanted.
    part().catch(() => {});
  }
}
