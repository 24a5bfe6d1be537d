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

/** What is wrong, and what happens next; nothing while all is well. */
export function Outage({ dashboard }: { dashboard: Dashboard }) {
  const { phase, attempt, retryAt, notBefore, reason, offline } = dashboard.status.value;
  const freshness = dashboard.freshness.value;
  dashboard.time.now.value;
  if (freshness === 'refused') {
    return (
      <div class="outage refused">
        <p role="alert">The server refused the stream: {reason}.</p>
        <button type="button" onClick={() => dashboard.retryNow()}>
          Try again
        </button>
      </div>
    );
  }
  if (freshness === 'cut') {
    const wait = retryAt === null ? 0 : retryAt - Date.now();
    const asSoonAs =
      notBefore !== null
        ? ', as the server asked'
        : offline
          ? ', or when there is a network'
          : ', or as soon as the server answers';
    return (
      <div class="outage">
        <p>
          {/* What changes is last, so that it moves nothing else. */}
          {capitalize(reason || 'the connection was lost')}. What is drawn stays.{' '}
          <span>
            {phase === 'connecting' || wait <= 0
              ? `Connecting, attempt ${attempt}…`
              : `Next attempt in ${formatAge(wait)}${asSoonAs}.`}
          </span>
        </p>
        <button type="button" disabled={phase !== 'waiting'} onClick={() => dashboard.retryNow()}>
          Try now
        </button>
        <a href="doctor">Examine the path</a>
      </div>
    );
  }
  const { awaySince } = dashboard.status.value;
  if (awaySince !== null) {
    return (
      <div class="outage">
        <p role="status">
          The server can’t reach its log: nothing newer can come until it does. What is drawn stays.
        </p>
      </div>
    );
  }
  if (dashboard.status.value.several) {
    return (
      <div class="outage">
        <p role="status">
          Several servers that don’t share a journal answer at this address: each has the samples of
          its own producers only, and what is drawn has gaps. Have one serve, or each client stay
          with one.
        </p>
        <a href="doctor">Examine the path</a>
      </div>
    );
  }
  const notice = dashboard.history.notice.value;
  return notice === '' ? null : (
    <div class="outage">
      <p role="status">{notice}</p>
      <button type="button" onClick={() => (dashboard.history.notice.value = '')}>
        Dismiss
      </button>
    </div>
  );
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
