import type { TransportName } from '../../client/index.ts';
import { formatAge } from '../../format/time.ts';
import { answers } from '../../state/answers.ts';
import type { Dashboard, Freshness } from '../../state/dashboard.ts';
import { later } from '../later.tsx';

const TRANSPORTS: Readonly<Record<TransportName, string>> = {
  websocket: 'WebSocket',
  sse: 'SSE',
  longpoll: 'long poll',
};

const WORDS: Readonly<Record<Freshness, string>> = {
  connecting: 'Connecting',
  live: 'Live',
  stale: 'Stale',
  cut: 'Cut',
  refused: 'Refused',
};

/** One word for how fresh the page is, and the transport. */
export function Connection({ dashboard }: { dashboard: Dashboard }) {
  const freshness = dashboard.freshness.value;
  const { transport, cutSince, offline, awaySince } = dashboard.status.value;
  const away = awaySince !== null && (freshness === 'live' || freshness === 'stale');
  const state = away ? 'stale' : freshness;
  const latency = dashboard.latency.value;
  // Read so that the ages are updated.
  dashboard.time.now.value;
  return (
    <div class={`connection ${state}`}>
      <span class="dot" aria-hidden="true" />
      <strong role="status">
        {away ? 'Log away' : freshness === 'cut' && offline ? 'Offline' : WORDS[freshness]}
      </strong>
      {state === 'stale' && (
        <span
          title={
            answers.value === false
              ? 'The server doesn’t answer: it hangs, or the way to it does'
              : 'Connected, but no samples came for so long'
          }
        >
          {!away && answers.value === false && 'no answer, '}
          {formatAge(dashboard.quietMs.value)}
        </span>
      )}
      {freshness === 'cut' && cutSince !== null && <span>{formatAge(Date.now() - cutSince)}</span>}
      {transport !== null && (state === 'live' || state === 'stale') && (
        <a
          class="transport"
          href="doctor"
          title={
            transport === 'websocket'
              ? 'How the data comes; examine the path'
              : 'WebSockets don’t get through here; examine the path'
          }
        >
          {TRANSPORTS[transport]}
        </a>
      )}
      {state === 'live' && <Lag latency={latency} />}
    </div>
  );
}

/** The age of the newest sample. It is loaded by the time that there is one. */
const Lag = later(
  () => import('./lag.tsx'),
  ({ Lag }) => Lag,
  () => <span class="lag">lag –</span>,
);
