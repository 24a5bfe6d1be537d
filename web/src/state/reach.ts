/** Whether the server answers at all, asked where the stream alone doesn't tell. */

import { computed, effect } from '@preact/signals';
import { answers } from './answers.ts';
import type { Dashboard } from './dashboard.ts';

/** Milliseconds that an answer may take. */
const PATIENCE_MS = 1_000;
/**
 * Milliseconds from one question to the next: so far apart that pages that were cut off together
 * don't come back together, and so close that each is back within two seconds.
 */
const LEAST_MS = 300;
const MOST_MS = 1_100;

/**
 * Ask while nothing comes, so that a server that hangs isn't taken for producers that are silent;
 * and while it is gone, so that the stream is opened again as soon as it is back rather than when
 * that was planned, unless the server itself said when. What is out of sight asks nothing.
 */
export function watchReach(dashboard: Dashboard, origin: URL): void {
  const url = new URL('livez', origin);
  const phase = computed(() => dashboard.status.value.phase);
  /** What there is to find out: null while all is well, or known. */
  const doubt = computed(() => {
    const { cutSince, offline } = dashboard.status.value;
    if (dashboard.freshness.value === 'stale') {
      return 'hangs';
    }
    const away = phase.value === 'waiting' || phase.value === 'connecting';
    return away && cutSince !== null && !offline ? 'gone' : null;
  });
  let phaseSince = 0;
  /** What was last found out: a server that answers all along has its reasons to be asked later. */
  let up = true;
  let turn = 0;

  /** Whether the stream would now not be opened anyway, and may be. */
  const mayRetry = (): boolean =>
    // A try may wait for long where the machine was away when it began.
    (phase.peek() === 'waiting' || performance.now() - phaseSince > PATIENCE_MS) &&
    Date.now() >= (dashboard.status.peek().notBefore ?? 0);

  const ask = async (mine: number, stale: boolean): Promise<void> => {
    let wait = stale ? 0 : interval();
    for (;;) {
      await pause(wait);
      if (turn !== mine) {
        return;
      }
      const began = performance.now();
      if (document.visibilityState === 'visible') {
        const answered = await reaches(url);
        if (turn !== mine) {
          return;
        }
        if (stale) {
          answers.value = answered;
        } else if (!answered) {
          up = false;
        } else if (!up && mayRetry()) {
          up = true;
          dashboard.retryNow();
        }
      }
      wait = Math.max(LEAST_MS, interval() - (performance.now() - began));
    }
  };

  effect(() => {
    phase.value;
    phaseSince = performance.now();
  });
  effect(() => {
    turn += 1;
    answers.value = true;
    up = true;
    if (doubt.value !== null) {
      void ask(turn, doubt.value === 'hangs');
    }
  });
}

function interval(): number {
  return LEAST_MS + Math.random() * (MOST_MS - LEAST_MS);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function reaches(url: URL): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    return (await fetch(url, { method: 'HEAD', cache: 'no-store', signal })).ok;
  } catch {
    return false;
  }
}
