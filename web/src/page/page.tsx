import { type ReadonlySignal, useComputed, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { loadPart } from '../browser/part.ts';
import { formatClock, formatSpan } from '../format/time.ts';
import { hidden } from '../panels/arrangement.ts';
import type { Dashboard } from '../state/dashboard.ts';
import type { View } from '../state/view.ts';
import type { Panel } from '../store/panel.ts';
import { Header } from '../ui/header/header.tsx';
import { Keys } from '../ui/header/keys.tsx';
import { later } from '../ui/later.tsx';
import { PanelCard } from '../ui/panel/panel.tsx';

const PLACEHOLDERS_AFTER_MS = 400;

interface PageProps {
  readonly dashboard: Dashboard;
  readonly view: View;
}

/** The whole page: all metrics, or a saved dashboard. */
export function Page({ dashboard, view }: PageProps) {
  const { kiosk, panel } = view;
  const name = view.name.value;
  const search = useSignal<typeof import('../panels/search.ts') | null>(null);
  const searched = dashboard.filter.value !== '';
  useEffect(() => {
    if (searched) {
      void loadPart(() => import('../panels/search.ts')).then((there) => {
        search.value = there;
      });
    }
  }, [searched]);
  const shown = useComputed(() => {
    const panels = dashboard.panels.value;
    return panel === null
      ? (search.value?.matching(panels, dashboard.filter.value) ?? panels)
      : panels.filter(({ key }) => key === panel);
  });
  const asked = search.value?.expressionIn(dashboard.filter.value) ?? null;
  return (
    <>
      {!kiosk && <Skip />}
      {kiosk && <Leave view={view} />}
      {!kiosk && <Header dashboard={dashboard} name={name} />}
      {view.wrong.value.length > 0 && <Wrong view={view} />}
      <Keys dashboard={dashboard} />
      <News dashboard={dashboard} shown={shown} />
      <main id="panels" tabIndex={-1}>
        {kiosk && <h1 class="unseen">pushsvc</h1>}
        {name !== null ? (
          <Board dashboard={dashboard} view={view} />
        ) : panel !== null ? (
          <One dashboard={dashboard} name={panel} shown={shown.value} />
        ) : asked !== null ? (
          <Expression dashboard={dashboard} text={asked} />
        ) : searched && search.value === null ? null : (
          <>
            <h2 class="unseen">Panels</h2>
            <Panels dashboard={dashboard} view={view} shown={shown.value} />
          </>
        )}
      </main>
    </>
  );
}

/** The skip link, first in the order of the keyboard: leads past the bar to the content. */
function Skip() {
  return (
    // biome-ignore lint/a11y/useValidAnchor: it leads to the place that its reference names.
    <a
      class="skip"
      href="#panels"
      onClick={(event) => {
        // Other references are relative to the service's root; this one is relative to the page.
        event.preventDefault();
        document.getElementById('panels')!.focus();
      }}
    >
      Skip to the panels
    </a>
  );
}

/** One panel of the page of all metrics, alone. */
function One({
  dashboard,
  name,
  shown: [panel],
}: {
  dashboard: Dashboard;
  name: string;
  shown: readonly Panel[];
}) {
  if (panel === undefined) {
    return dashboard.described.value ? (
      <section class="message">
        <h2>There is no panel “{name}” now</h2>
        <p>
          It appears here as soon as its metric is published. <a href="./">All metrics</a>
        </p>
      </section>
    ) : (
      <Waiting dashboard={dashboard} />
    );
  }
  return (
    <section class="board alone" aria-label={panel.name}>
      <h2 class="unseen">{panel.name}</h2>
      <div class="cells">
        <div class="cell">
          <PanelCard panel={panel} dashboard={dashboard} />
        </div>
      </div>
    </section>
  );
}

/** Announces changes to screen readers: the time that is shown, and the results of a search. */
function News({
  dashboard,
  shown,
}: {
  dashboard: Dashboard;
  shown: ReadonlySignal<readonly Panel[]>;
}) {
  const { filter, panels } = dashboard;
  const { heldAt, windowMs } = dashboard.time;
  const found =
    filter.value === '' ? '' : `${shown.value.length} of ${panels.value.length} panels. `;
  const time =
    heldAt.value === null
      ? `Live, the last ${formatSpan(windowMs.value)}.`
      : `Held at ${formatClock(heldAt.value)}, ${formatSpan(windowMs.value)} before it.`;
  return (
    <p class="unseen" role="status">
      {found}
      {time}
    </p>
  );
}

/** A saved dashboard. The code for it is loaded when one is shown. */
const Board = later(
  () => import('../board/board.tsx'),
  ({ Board }) => Board,
  () => <p role="status">Loading…</p>,
);

/** The search for an expression. */
const Expression = later(
  () => import('../search/expression.tsx'),
  ({ Expression }) => Expression,
);

/** The way out of full screen and kiosk mode. */
const Leave = later(
  () => import('./leave.tsx'),
  ({ Leave }) => Leave,
);

const Wrong = later(
  () => import('./wrong.tsx'),
  ({ Wrong }) => Wrong,
);

/** Says what to do if there is no metric yet, or if a search finds none. */
const Nothing = later(
  () => import('./empty.tsx'),
  ({ Nothing }) => Nothing,
);

function Panels({
  dashboard,
  view,
  shown,
}: {
  dashboard: Dashboard;
  view: View;
  shown: readonly Panel[];
}) {
  if (dashboard.panels.value.length === 0 && !dashboard.described.value) {
    return <Waiting dashboard={dashboard} />;
  }
  if (shown.length === 0) {
    return <Nothing dashboard={dashboard} />;
  }
  const seen = shown.filter(({ key }) => !hidden.has(key));
  return (
    <>
      <div class="grid">
        {seen.map((panel) => (
          <PanelCard
            key={panel.key}
            panel={panel}
            dashboard={dashboard}
            alone={view.kiosk ? undefined : () => view.href({ panel: panel.key })}
          />
        ))}
      </div>
      <Hidden panels={shown.filter(({ key }) => hidden.has(key))} />
    </>
  );
}

/** Lists what was hidden, to show it again. */
function Hidden({ panels }: { panels: readonly Panel[] }) {
  return (
    <section class="hidden" aria-label="Hidden panels">
      <p role="status">
        {panels.length > 0 && `${panels.length} hidden ${panels.length === 1 ? 'panel' : 'panels'}`}
      </p>
      {panels.map(({ key, name }) => (
        <button type="button" key={key} onClick={() => hidden.toggle(key)}>
          Show {name}
        </button>
      ))}
      {panels.length > 1 && (
        <button type="button" onClick={() => hidden.clear()}>
          Show all
        </button>
      )}
    </section>
  );
}

/** Shown before the first documents. The header says more if it takes long. */
function Waiting({ dashboard }: { dashboard: Dashboard }) {
  const { freshness } = dashboard;
  // A message that would disappear before it is read only delays the rest.
  const late = useSignal(false);
  useEffect(() => {
    const timer = setTimeout(() => {
      late.value = true;
    }, PLACEHOLDERS_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  if (freshness.value === 'cut' || freshness.value === 'refused') {
    return (
      <section class="message">
        <h3>No connection to the server yet</h3>
        <p>Charts appear here as soon as it answers; there is no need to reload.</p>
      </section>
    );
  }
  return (
    late.value && (
      <div class="grid" aria-hidden="true">
        {[1, 2, 3, 4, 5, 6].map((n) => (
          <div class="panel placeholder" key={n} />
        ))}
      </div>
    )
  );
}
