/** Asks the server whether it answers, when the stream alone doesn't tell. */

import { computed, effect } from '@preact/signals';
import { LATE_MS } from '../store/series.ts';
import { answers } from './answers.ts';
import type { Dashboard } from './dashboard.ts';

/** Milliseconds that an answer may take. */
const PATIENCE_MS = 1_000;
/**
 * The pause between two requests is random between these milliseconds. So pages that were cut off
 * together don't come back together, and each is back within two seconds.
 */
const LEAST_MS = 300;
const MOST_MS = 1_100;
/** Milliseconds without a sample after which the server is asked even if none is missing, */
const QUIET_MS = 4_000;
/** and the most until it is asked again. All pages that show states alone do so. */
const SELDOM_MS = 8_000;

/**
 * Ask while no samples come, to tell a server that hangs from producers that are silent, or have
 * nothing to say; and when the past that was loaded seems to have ended long ago, to tell that by
 * the server's clock rather than by this browser's, which may be wrong. Ask as well while the server
 * is gone, to open the stream as soon as it is back rather than when that was planned, unless the
 * server itself said when. A hidden page doesn't ask.
 */
export function watchReach(dashboard: Dashboard, origin: URL): void {
  const url = new URL('livez', origin);
  const phase = computed(() => dashboard.status.value.phase);
  /** The newest sample for which it is known how old it is. */
  let dated = Number.NaN;
  /** Whether only the past has come, and ended more than two usual intervals ago. */
  const doubtful = (): boolean => {
    const { arrival, counts, newest, interval, thinnedMs, thinnedUntil } = dashboard.store;
    // Points of a thinned past are no more often than samples were.
    const usual = interval || (Number.isFinite(thinnedUntil) ? thinnedMs : 0);
    const old = Date.now() - newest > 2 * usual + LATE_MS;
    return arrival === null && counts && usual > 0 && old && newest !== dated;
  };
  /** Take samples of the past to have come when they were made, by the server's clock. */
  const date = (now: number): void => {
    const { store } = dashboard;
    if (doubtful() && Number.isFinite(now)) {
      store.lastPointsAt = Math.min(
        store.lastPointsAt,
        Date.now() - Math.max(0, now - store.newest),
      );
    }
    dated = store.newest;
  };
  /** What is to be found out; null if nothing is. */
  const problem = computed(() => {
    const { cutSince, offline } = dashboard.status.value;
    if (phase.value === 'live') {
      const { quietMs, overdue } = dashboard;
      // Both are told anew as time goes on.
      return quietMs.value >= 0 && (overdue.value || doubtful())
        ? 'overdue'
        : quietMs.value > QUIET_MS
          ? 'quiet'
          : null;
    }
    const away = phase.value === 'waiting' || phase.value === 'connecting';
    return away && cutSince !== null && !offline ? 'gone' : null;
  });
  let phaseSince = 0;
  /**
   * Whether the server last answered. If it answered all along, it closed the stream for a reason,
   * and the stream is opened when planned.
   */
  let up = true;
  let turn = 0;

  /** Whether an attempt may be started now. */
  const mayRetry = (): boolean =>
    // An attempt that began while the machine was away may hang for long.
    (phase.peek() === 'waiting' || performance.now() - phaseSince > PATIENCE_MS) &&
    Date.now() >= (dashboard.status.peek().notBefore ?? 0);

  const ask = async (mine: number, about: 'overdue' | 'quiet' | 'gone'): Promise<void> => {
    let wait = about === 'overdue' ? 0 : about === 'quiet' ? Math.random() * QUIET_MS : interval();
    for (;;) {
      await pause(wait);
      if (turn !== mine) {
        return;
      }
      const began = performance.now();
      if (document.visibilityState === 'visible') {
        const answer = await reaches(url);
        const answered = answer !== null;
        if (turn !== mine) {
          return;
        }
        if (about !== 'gone') {
          answers.value = answered;
          if (answered) {
            date(Date.parse(answer.headers.get('Date') ?? ''));
            dashboard.heard();
          }
        } else if (!answered) {
          up = false;
        } else if (!up && mayRetry()) {
          up = true;
          dashboard.retryNow();
        }
      }
      wait =
        about === 'quiet' && answers.peek() !== false
          ? SELDOM_MS * (0.5 + Math.random() / 2)
          : Math.max(LEAST_MS, interval() - (performance.now() - began));
    }
  };

  effect(() => {
    phase.value;
    dated = Number.NaN;
    phaseSince = performance.now();
  });
  effect(() => {
    const about = problem.value;
    turn += 1;
    up = true;
    if (about === null || about === 'gone') {
      answers.value = true;
    } else if (about === 'overdue' && answers.peek() === true) {
      answers.value = null;
    }
    if (about !== null) {
      void ask(turn, about);
    }
  });
}

function interval(): number {
  return LEAST_MS + Math.random() * (MOST_MS - LEAST_MS);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The answer of a server that is well; null if there is none. */
async function reaches(url: URL): Promise<Response | null> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(url, { method: 'HEAD', cache: 'no-store', signal });
    return answer.ok ? answer : null;
  } catch {
    return null;
  }
}
