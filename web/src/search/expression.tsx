import './expression.css';
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { read } from '../client/protocol/selector.ts';
import type { Added } from '../editor/model/adding.ts';
import { check, type Verdict } from '../editor/model/checking.ts';
import { Names } from '../editor/model/names.ts';
import { canBeRead, SelectorField, Selectors } from '../editor/selector-field.tsx';
import { searchFor } from '../panels/search.ts';
import type { Dashboard } from '../state/dashboard.ts';
import { PanelView } from '../ui/panel/described.tsx';
import { AddForm } from './add-form.tsx';

/** Milliseconds until the server is asked again, where it gave no answer. */
const AGAIN_MS = 2_000;

interface ExpressionProps {
  readonly dashboard: Dashboard;
  /** As it is being written. */
  readonly text: string;
}

/** Of four usual intervals, so that one sample that is late makes no difference. */
function windowFor(dashboard: Dashboard, selector: string): string {
  const matches = read(selector);
  const intervals = dashboard.panels.value
    .flatMap(({ members }) => members)
    .filter(({ series }) => matches?.(series.name, series.labels))
    .map(({ series }) => series.interval);
  const longest = Math.max(0, ...intervals);
  return longest === 0 ? '1m' : `${Math.max(4, Math.ceil((4 * longest) / 1000))}s`;
}

/** The search for an expression: it is written, shown live, and added to a dashboard. */
export function Expression({ dashboard, text }: ExpressionProps) {
  const names = useMemo(() => new Names(new URL(document.baseURI)), []);
  const selectors = useMemo(() => new Selectors(), []);
  const verdict = useSignal<Verdict | null>(null);
  /** What the server could read last. */
  const shown = useSignal<string | null>(null);
  const adding = useSignal(false);
  const added = useSignal<Extract<Added, { type: 'added' }> | null>(null);
  // Somebody who wrote it in the search goes on writing here.
  const begun = useMemo(() => document.activeElement?.matches('.filter') ?? false, []);
  const leave = (): void => {
    dashboard.filter.value = '';
    document.querySelector<HTMLElement>('.filter')?.focus();
  };
  useEffect(() => () => void dashboard.askInSight(), []);
  const asked = shown.value;
  useEffect(() => {
    added.value = null;
    if (asked !== null) {
      dashboard.ask([asked]);
    }
  }, [asked]);
  const said = verdict.value;
  useEffect(() => {
    if (said?.type !== 'untold') {
      return;
    }
    const ending = new AbortController();
    const timer = setTimeout(() => {
      check(new URL(document.baseURI), text, ending.signal).then(
        (found) => {
          verdict.value = found;
          if (canBeRead(found)) {
            shown.value = text;
          }
        },
        () => {},
      );
    }, AGAIN_MS);
    return () => {
      clearTimeout(timer);
      ending.abort();
    };
  }, [said, text]);
  return (
    <section
      class="expression"
      aria-label="Expression"
      onKeyDown={(event) => {
        if ((event.target as Element).closest('.code') !== null) {
          event.stopPropagation();
        }
      }}
    >
      <h2 class="unseen">Expression</h2>
      <SelectorField
        label="Expression"
        value={text}
        onInput={(next) => (dashboard.filter.value = searchFor(next))}
        selectors={selectors}
        names={names}
        verdict={verdict}
        expressions
        window={windowFor(dashboard, text)}
        focused={begun}
        onRead={(query) => (shown.value = query)}
      />
      <div class="tools">
        <button type="button" disabled={asked === null} onClick={() => (adding.value = true)}>
          Add to dashboard
        </button>
        <button type="button" onClick={leave}>
          Back to all metrics
        </button>
        <span role="status">
          {added.value !== null && (
            <>
              Added to {added.value.title}.{' '}
              <a href={`d/${encodeURIComponent(added.value.name)}`}>Open it</a>
            </>
          )}
        </span>
      </div>
      {asked !== null && (
        <PanelView
          key={asked}
          panel={{ id: 'expression', kind: 'line', select: asked }}
          dashboard={dashboard}
        />
      )}
      {adding.value && (
        <AddForm
          select={asked!}
          onDone={(there) => {
            adding.value = false;
            added.value = there;
          }}
          onClose={() => (adding.value = false)}
        />
      )}
    </section>
  );
}
