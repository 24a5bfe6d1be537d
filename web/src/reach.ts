/** Whether the server answers at all, asked where the stream alone doesn't tell. */

import { effect, signal } from '@preact/signals';
import type { Dashboard } from './dashboard.ts';

/** False while a server to which there is a connection doesn't answer: it hangs, or the way does. */
export const answers = signal(true);

/** Milliseconds that an answer may take, and between two questions. */
const PATIENCE_MS = 1_000;
const PAUSE_MS = 700;

/**
 * Ask while nothing comes, so that a server that hangs isn't taken for producers that are silent;
 * and while it is gone, so that the stream is opened again as soon as it is back rather than when
 * that was planned. What is out of sight asks nothing.
 */
export function watchReach(dashboard: Dashboard, origin: URL): void {
  const url = new URL('livez', origin);
  let turn = 0;
  effect(() => {
    const { phase, offline } = dashboard.status.value;
    const stale = dashboard.freshness.value === 'stale';
    turn += 1;
    if (stale || (phase === 'waiting' && !offline)) {
      void ask(turn, stale);
    } else {
      answers.value = true;
    }
  });
  const ask = async (mine: number, stale: boolean): Promise<void> => {
    let missed = false;
    while (turn === mine) {
      if (document.visibilityState === 'visible') {
        const answered = await reaches(url);
        if (turn !== mine) {
          return;
        }
        if (stale) {
          answers.value = answered;
        } else if (answered && missed) {
          // One that answers all along has its reasons to be asked later.
          dashboard.retryNow();
          return;
        }
        missed ||= !answered;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (0.7 + 0.6 * Math.random())));
    }
  };
}

async function reaches(url: URL): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    return (await fetch(url, { method: 'HEAD', cache: 'no-store', signal })).ok;
  } catch {
    return false;
  }
}
