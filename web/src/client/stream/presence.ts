/** Whether the page is visible: hidden pages ask for less, and disconnect after a while. */

import { TIMING, type Timing } from '../links/timing.ts';

/** full: visible. low: hidden for a while. none: hidden for long, so that nothing is needed. */
export type Presence = 'full' | 'low' | 'none';

/** Whether this page is hidden. */
export function isHidden(): boolean {
  return typeof document !== 'undefined' && document.visibilityState === 'hidden';
}

/** Calls `changed` when the page is hidden and shown. Gives the function that ends that. */
export function watchPresence(
  changed: (presence: Presence) => void,
  timing: Timing = TIMING,
): () => void {
  if (typeof document === 'undefined') {
    return () => {};
  }
  let timers: ReturnType<typeof setTimeout>[] = [];
  const look = (): void => {
    timers.forEach(clearTimeout);
    timers = [];
    if (isHidden()) {
      timers.push(setTimeout(() => changed('low'), timing.lowerAfter));
      timers.push(setTimeout(() => changed('none'), timing.letGoAfter));
    } else {
      changed('full');
    }
  };
  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    timers.forEach(clearTimeout);
    document.removeEventListener('visibilitychange', look);
  };
}

/** Whether the browser has no network at all. A server on this machine can still be reached. */
export function isOffline(): boolean {
  return typeof navigator !== 'undefined' && navigator.onLine === false;
}

/** Calls `gone` when the network goes away. Gives the function that ends that. */
export function onOffline(gone: () => void): () => void {
  if (typeof window === 'undefined') {
    return () => {};
  }
  window.addEventListener('offline', gone);
  return () => window.removeEventListener('offline', gone);
}

/** Calls `wake` when the page or the network is back. Gives the function that ends that. */
export function onReturn(wake: () => void): () => void {
  if (typeof window === 'undefined') {
    return () => {};
  }
  const visible = (): void => {
    if (!isHidden()) {
      wake();
    }
  };
  window.addEventListener('online', visible);
  window.addEventListener('pageshow', visible);
  document.addEventListener('visibilitychange', visible);
  return () => {
    window.removeEventListener('online', visible);
    window.removeEventListener('pageshow', visible);
    document.removeEventListener('visibilitychange', visible);
  };
}
