import { formatAge } from '../../format/time.ts';
import { answers } from '../../state/answers.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Panel } from '../../store/panel.ts';

/** Samples of a point from which on it is worth a word. */
const MERGED = 1.5;

/** Says when nothing comes for this panel, or less than the producer sends, and why. */
export function Silence({ panel, dashboard }: { panel: Panel; dashboard: Dashboard }) {
  const now = dashboard.time.now.value;
  const { phase, cutSince, offline, awaySince } = dashboard.status.value;
  if (phase !== 'live') {
    return cutSince === null ? null : (
      <span class="chip silent" title="The connection to the server is cut: what is drawn is old">
        {offline ? 'network down' : 'no server'} for {formatAge(Date.now() - cutSince)}
      </span>
    );
  }
  if (!panel.members.every(({ series }) => series.isSilent(now))) {
    const density = Math.max(...panel.members.map(({ series }) => series.density));
    const hz = dashboard.grantedHz.value;
    return density < MERGED || hz === null ? null : (
      <span
        class="chip lowered"
        title={`The producer is faster than this screen is sent: a point stands for about ${Math.round(density)} samples, with their lowest and highest`}
      >
        rate lowered to {hz}/s
      </span>
    );
  }
  if (awaySince !== null || !answers.value) {
    const what = awaySince === null ? 'doesn’t answer' : 'can’t reach its log';
    return (
      <span class="chip silent" title={`Connected, but the server ${what}: what is drawn is old`}>
        {awaySince === null ? 'server hangs' : 'log away'} for {formatAge(dashboard.quietMs.value)}
      </span>
    );
  }
  const last = Math.max(...panel.members.map(({ series }) => series.lastTime));
  return (
    <span class="chip silent" title="The producer fell silent: the last sample is so old">
      {Number.isFinite(last) ? `producer silent for ${formatAge(now - last)}` : 'no samples yet'}
    </span>
  );
}
