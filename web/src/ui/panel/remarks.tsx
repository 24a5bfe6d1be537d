/** What a panel says beside its lines. */

import type { Reasons } from '../../client/index.ts';
import { isSelector } from '../../client/protocol/selector.ts';
import { matcherOf } from '../../client/subscriptions/spec.ts';
import { formatAge } from '../../format/time.ts';
import type { Panel as Description } from '../../panels/model.ts';
import { isReadable, queriesOf } from '../../panels/selection.ts';
import { answers } from '../../state/answers.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Panel } from '../../store/panel.ts';

/** Points that stand for at least this many samples are mentioned. */
const MERGED = 1.5;

/** Says why a panel has no series. */
export function Absence({
  asked,
  dashboard,
}: {
  /** Its selectors and expressions. */
  asked: readonly string[];
  dashboard: Dashboard;
}) {
  const failing = dashboard.failing.value;
  const reasons = asked
    .map((select) => [select, reasonOf([select], failing)])
    .filter(([, why]) => why !== undefined);
  return (
    <>
      {reasons.map(([select, why]) => (
        <p class="remark" key={select}>
          {select} has no result: {why}.
        </p>
      ))}
      {reasons.length === 0 && (
        <p class="remark">
          {asked.some(isReadable)
            ? asked.every(isSelector)
              ? 'No series matches yet. They appear here as soon as someone publishes them.'
              : 'There is no result yet. It appears here with the first step that has one.'
            : `The selector ${asked.join(', ')} can’t be read.`}
        </p>
      )}
    </>
  );
}

/** Says what of a panel isn't shown. */
export function Remarks({
  panel,
  select,
  shown,
  drawn,
}: {
  panel: Panel;
  select: string | undefined;
  shown: number;
  /** How many lines are drawn at the most. */
  drawn: number;
}) {
  return (
    <>
      {panel.omitted.size > 0 && <Omitted panel={panel} select={select!} />}
      {shown > drawn && (
        <p class="remark">
          {drawn} of {shown} lines are drawn: those that are highest now.
        </p>
      )}
    </>
  );
}

/**
 * Says which other series a selector matches, and that one axis has one unit; links to panels of
 * all of them.
 */
function Omitted({ panel, select }: { panel: Panel; select: string }) {
  const { omitted, members, kind, unit } = panel;
  const rest = [...omitted.values()].reduce((sum, count) => sum + count, 0);
  const others = [...omitted].map(([other, count]) => `${count} ${other}`).join(', ');
  return (
    <p class="remark">
      {members.length} of {members.length + rest} matching series are shown, as one axis has one
      unit: {[kind, unit].filter(Boolean).join(' in ')}. Not {others}.{' '}
      <a href={`./?q=${encodeURIComponent(select)}`}>All of them, a panel for each metric</a>
    </p>
  );
}

/** Why one of these has no result now, if one has none. */
function reasonOf(asked: readonly string[], failing: Reasons): string | undefined {
  const matches = asked.map((select) => matcherOf({ selectors: [select] }));
  return Object.entries(failing).find(([name]) => matches.some((one) => one?.(name, {})))?.[1];
}

/** Says when no samples arrive for this panel, or fewer than the producer sends, and why. */
export function Silence({
  panel,
  dashboard,
  description,
}: {
  panel: Panel;
  dashboard: Dashboard;
  description: Description | undefined;
}) {
  const now = dashboard.time.now.value;
  const { phase, cutSince, offline, awaySince } = dashboard.status.value;
  if (phase !== 'live') {
    return cutSince === null ? null : (
      <span class="chip silent" title="The connection to the server is cut: what is drawn is old">
        {offline ? 'network down' : 'no server'} for {formatAge(Date.now() - cutSince)}
      </span>
    );
  }
  const asked = description === undefined ? [] : queriesOf(description);
  const why = reasonOf(
    asked.map(({ select }) => select),
    dashboard.failing.value,
  );
  if (why) {
    return (
      <>
        <span class="chip silent">no result</span> <span title={why}>{why}</span>
      </>
    );
  }
  const unheard = awaySince !== null || answers.value === false;
  if (!unheard && !panel.members.every(({ series }) => series.isSilent(now))) {
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
  if (unheard) {
    const what = awaySince === null ? 'doesn’t answer' : 'can’t reach its log';
    return (
      <span class="chip silent" title={`Connected, but the server ${what}: what is drawn is old`}>
        {awaySince === null ? 'server hangs' : 'log away'} for {formatAge(dashboard.quietMs.value)}
      </span>
    );
  }
  const last = Math.max(...panel.members.map(({ series }) => series.lastTime));
  const who = answers.value === null ? 'no samples' : 'producer silent';
  return (
    <span class="chip silent" title="The last sample of this panel is so old">
      {Number.isFinite(last) ? `${who} for ${formatAge(now - last)}` : 'no samples yet'}
    </span>
  );
}
