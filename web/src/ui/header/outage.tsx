import { formatAge } from '../../format/time.ts';
import type { Dashboard } from '../../state/dashboard.ts';

/**
 * What is wrong, and what happens next; nothing while all is well. It is there from the start: when it
 * is wanted, nothing can be loaded.
 */
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
