/** Whether somebody may be looking: pages out of sight ask for less, then let go. */

import { TIMING, type Timing } from '../links/timing.ts';

/** full: in sight. low: out of sight for a while. none: for long, so that nothing is needed. */
export type Presence = 'full' | 'low' | 'none';

/** Whether nobody can see this page. */
export function isHidden(): boolean {
  return typeof document !== 'undefined' && document.visibilityState === 'hidden';
}

/** Calls `changed` as the page goes out of sight and comes back. Ends with the function given. */
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

/** Whether the browser knows of no network at all; this machine can be reached nevertheless. */
export function isOffline(): boolean {
  return typeof navigator !== 'undefined' && navigator.onLine === false;
}

/** Call `gone` when the network is. Ends with the function given. */
export function onOffline(gone: () => void): () => void {
  if (typeof window === 'undefined') {
    return () => {};
  }
  window.addEventListener('offline', gone);
  return () => window.removeEventListener('offline', gone);
}

/** Call `wake` when the page or the network is back. Ends with the function given. */
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
