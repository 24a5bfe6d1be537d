/**
 * What the pointer, a key or an outage may want is loaded before it is wanted, once data comes and the
 * page has nothing to do: by then the server may be away, or have another version of the page.
 */

/** Milliseconds that the page has for what is shown. */
const AFTER_MS = 3_000;

const parts = [
  () => import('./tip.tsx'),
  () => import('./pin.tsx'),
  () => import('./silence.tsx'),
  () => import('./sheet.tsx'),
  () => import('./wrong.tsx'),
  () => import('./leave.tsx'),
  () => import('./states.tsx'),
  () => import('./saving.ts'),
  () => import('../panels/figures.tsx'),
  () => import('../panels/search.ts'),
];

setTimeout(() => {
  for (const part of parts) {
    // One that fails is loaded when it is wanted.
    part().catch(() => {});
  }
}, AFTER_MS);
