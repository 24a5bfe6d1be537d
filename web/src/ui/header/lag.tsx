/** What the header tells of the newest sample, loaded after the first picture. */

import { formatAge } from '../../format/time.ts';
import type { Latency } from '../../state/dashboard.ts';

/** The age of the newest sample when it is seen, and how it came about. */
export function Lag({ latency }: { latency: Latency | null }) {
  if (latency === null) {
    return <span class="lag">lag –</span>;
  }
  const { toServer, toBrowser, toScreen, total } = latency;
  return (
    <details class="lag">
      <summary title="From the newest sample’s own time until it is on this screen">
        {`lag ${milliseconds(total)}`}
      </summary>
      <dl>
        <dt>producer to server</dt>
        <dd>{milliseconds(toServer)}</dd>
        <dt>server to browser</dt>
        <dd>{milliseconds(toBrowser)}</dd>
        <dt>browser to screen</dt>
        <dd>{toScreen === null ? '–' : milliseconds(toScreen)}</dd>
      </dl>
    </details>
  );
}

function milliseconds(ms: number): string {
  return ms < 10_000 ? `${Math.round(ms)}\u202fms` : formatAge(ms);
}
