import { printable } from '../format/printable.ts';
import '../style/board.css';
import { useComputed, useSignal, useSignalEffect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { loadPart } from '../browser/part.ts';
import { parseDuration } from '../client/index.ts';
import { isPlain, NOTHING, selectorsOf } from '../dashboards/asking.ts';
import { type Kept, type Loaded, list, load, Missing, type Source } from '../dashboards/model.ts';
import { inReadingOrder, placeStyle } from '../dashboards/place.ts';
import { sectionsOf, unfolded } from '../dashboards/rows.ts';
import { turned } from '../panels/arrangement.ts';
import type { Panel } from '../panels/model.ts';
import type { Dashboard } from '../state/dashboard.ts';
import type { View } from '../state/view.ts';
import { later } from '../ui/later.tsx';
import { PanelView } from '../ui/panel/described.tsx';

interface BoardProps {
  readonly dashboard: Dashboard;
  readonly view: View;
}

/** A saved dashboard: its panels in their places, or the editor. */
export function Board({ dashboard, view }: BoardProps) {
  const loaded = useSignal<Loaded | null>(null);
  const failure = useSignal<Error | null>(null);
  const editing = useSignal<Editing | null>(null);
  /** What fills in variables, once there are any. */
  const parts = useSignal<typeof import('../ui/variables.tsx') | null>(null);
  const root = useRef<HTMLDivElement>(null);
  /** What others did to it. */
  const news = useSignal('');
  const name = view.name.value!;
  const { values, panel: only, kiosk } = view;

  /** Show a version of it, with the means that it takes. */
  const take = async (next: Loaded): Promise<void> => {
    if (!isPlain(next.kept) || Object.keys(values.peek()).length > 0) {
      parts.value = await loadPart(() => import('../ui/variables.tsx'));
    }
    loaded.value = next;
    document.title = `${printable(next.kept.title)} · pushsvc`;
  };
  const show = async (): Promise<void> => {
    try {
      const { loading } = view;
      view.loading = null;
      await take(await (loading ?? load(new URL(document.baseURI), view.name.peek()!)));
      const { kept } = loaded.peek()!;
      view.quietly(() => {
        suggest(dashboard, kept.window);
        const { checked } = parts.peek() ?? {};
        if (checked !== undefined) {
          const found = checked(values.peek(), kept.variables);
          values.value = found.values;
          view.wrong.value = [...new Set([...view.wrong.peek(), ...found.wrong])];
        }
      });
      if (view.edit.peek()) {
        view.leaveWayBack();
      }
    } catch (error) {
      if (!(error instanceof Missing && view.edit.peek())) {
        throw error;
      }
    }
  };
  /** The editor is loaded when it is opened. */
  const edit = async (): Promise<void> => {
    const [{ Editor }, { entries, writable }] = await Promise.all([
      loadPart(() => import('../editor/editor.tsx')),
      list(new URL(document.baseURI)),
    ]);
    const entry = entries.find((one) => one.name === view.name.peek());
    // The editor may have been closed before it was loaded.
    if (view.edit.peek()) {
      editing.value = { Editor, writable, source: entry?.source ?? 'saved' };
    }
  };
  const attempt = (act: () => Promise<void>): void => {
    act().catch((error) => {
      failure.value = error as Error;
    });
  };
  const edited = view.edit.value;
  // Opened by its button, by the address, or by Back and Forward: load what is saved now.
  useEffect(() => {
    attempt(async () => {
      if (!edited) {
        editing.value = null;
      }
      news.value = '';
      await show();
      if (edited) {
        await edit();
      }
    });
  }, [edited]);

  const version = loaded.value?.etag;
  // Others may save it, too: show their version at once.
  useEffect(() => {
    if (edited || version === undefined) {
      return;
    }
    return during(
      () => import('../dashboards/following.ts'),
      ({ follow }) =>
        follow(new URL(document.baseURI), view.name.peek()!, version, (next) => {
          if (next === null) {
            news.value = 'This dashboard was deleted elsewhere. What is shown is what it was last.';
          } else {
            attempt(() => take(next));
            news.value = 'This dashboard was saved elsewhere: this is the new version.';
          }
        }),
    );
  }, [edited, version]);

  /** The panels of the dashboard, with their variables filled in, and how many would be too many. */
  const filled = useComputed<Filled>(() => {
    const kept = loaded.value?.kept;
    const filling = parts.value;
    if (kept === undefined) {
      return { panels: [], left: 0 };
    }
    return filling === null
      ? { panels: inReadingOrder(kept.panels), left: 0 }
      : filledIn(kept, filling, values.value, dashboard.time.liveMs.value);
  });
  const isFolded = (row: Panel): boolean =>
    (row.collapsed ?? false) !== turned.has(`${name}/${row.id}`);
  /** Those that are shown. */
  const panels = useComputed<readonly Panel[]>(() => {
    const all = filled.value.panels;
    return only === null ? unfolded(all, isFolded) : all.filter(({ id }) => id === only);
  });
  /** Where they ask for too much at once: of those in sight it is asked for. */
  const crowded = useSignal<readonly Panel[] | null>(null);
  // The stream is asked for what is shown; the editor asks for more.
  useSignalEffect(() => {
    if (failure.value !== null) {
      dashboard.ask([NOTHING]);
    } else if (loaded.value !== null && !view.edit.value) {
      const selectors = selectorsOf(panels.value);
      crowded.value = selectors === null ? panels.value : null;
      if (selectors !== null) {
        dashboard.ask(selectors);
      }
    }
  });
  const many = edited ? null : crowded.value;
  useEffect(() => {
    if (many === null) {
      return;
    }
    return during(
      () => import('./near.ts'),
      ({ askNear }) => askNear(root.current!, many, (selectors) => dashboard.ask(selectors)),
    );
  }, [many]);

  if (failure.value !== null) {
    return <Absent failure={failure.value} name={name} />;
  }
  if (editing.value !== null) {
    const { Editor, writable, source } = editing.value;
    return (
      <Editor
        dashboard={dashboard}
        view={view}
        loaded={loaded.value}
        source={source}
        writable={writable}
        onDone={() => {
          view.edit.value = false;
        }}
      />
    );
  }
  if (loaded.value === null) {
    return <p role="status">Loading…</p>;
  }
  const { kept } = loaded.value;
  const { title } = kept;
  const { Choices, fillText, meaningsOf } = parts.value ?? {};
  const description =
    fillText && kept.description
      ? fillText(kept.description, meaningsOf!(kept, values.value, dashboard.time.liveMs.value))
      : kept.description;
  return (
    <section class={only === null ? 'board' : 'board alone'} aria-label={title}>
      {only !== null && <h2 class="unseen">{title}</h2>}
      <div class={only === null && !kiosk && news.value !== '' ? 'news' : 'unseen'}>
        <p role="status">{news.value}</p>
        {news.value !== '' && only === null && !kiosk && (
          <button type="button" onClick={() => (news.value = '')}>
            Dismiss
          </button>
        )}
      </div>
      {only === null && (
        <header>
          <h2>{title}</h2>
          {description && <p>{description}</p>}
          {Choices && <Choices kept={loaded.value.kept} view={view} />}
          {!kiosk && <Ways view={view} name={name} />}
        </header>
      )}
      {panels.value.length === 0 && (
        <p role="alert">
          {only === null ? 'There are no panels on it yet.' : `There is no panel ${only} on it.`}
        </p>
      )}
      {only === null && filled.value.left > 0 && (
        <p class="remark">
          {filled.value.left} more panels, for further values of variables, are not shown.
        </p>
      )}
      <div class="cells" ref={root}>
        {panels.value.map((panel) => (
          <Cell key={panel.id} panel={panel}>
            {panel.kind === 'row' ? (
              <Row
                row={panel}
                folded={only === null && isFolded(panel)}
                count={countIn(filled.value.panels, panel)}
                onFold={() => turned.toggle(`${name}/${panel.id}`)}
              />
            ) : (
              <PanelView
                panel={panel}
                dashboard={dashboard}
                alone={kiosk ? undefined : () => view.href({ panel: panel.id })}
              />
            )}
          </Cell>
        ))}
      </div>
    </section>
  );
}

/** Have a part begin when it is there, and end when what is returned is called. */
function during<Part>(part: () => Promise<Part>, begin: (part: Part) => () => void): () => void {
  let end: (() => void) | null = null;
  let over = false;
  void loadPart(part).then((there) => {
    if (!over) {
      end = begin(there);
    }
  });
  return () => {
    over = true;
    end?.();
  };
}

/** Shown instead of a dashboard that can't be shown. */
const Absent = later(
  () => import('./absent.tsx'),
  ({ Absent }) => Absent,
);

const Row = later(
  () => import('./row.tsx'),
  ({ Row }) => Row,
);

/** Links to other views of the dashboard, and the buttons. */
function Ways({ view, name }: { view: View; name: string }) {
  return (
    <p class="ways">
      <a href={view.href()}>Link to this view</a> <a href={view.href({ kiosk: true })}>Kiosk</a>{' '}
      <a href={`v1/dashboards/${encodeURIComponent(name)}`} download={`${name}.json`}>
        Export
      </a>{' '}
      <button type="button" onClick={() => (view.edit.value = true)}>
        Edit
      </button>
    </p>
  );
}

interface Editing {
  readonly Editor: typeof import('../editor/editor.tsx').Editor;
  readonly writable: boolean;
  readonly source: Source;
}

function Cell({ panel, children }: { panel: Panel; children: ComponentChildren }) {
  const { grid } = panel;
  return (
    <div
      class={grid === undefined ? 'cell' : 'cell placed'}
      style={grid === undefined ? {} : placeStyle(grid)}
      data-panel={panel.id}
    >
      {children}
    </div>
  );
}

/** How many panels a row has. */
function countIn(panels: readonly Panel[], row: Panel): number {
  return sectionsOf(panels).find((section) => section.row?.id === row.id)?.panels.length ?? 0;
}

interface Filled {
  readonly panels: readonly Panel[];
  readonly left: number;
}

/** The panels of a dashboard with variables, each as often as it is repeated. */
function filledIn(
  kept: Kept,
  filling: typeof import('../ui/variables.tsx'),
  values: View['values']['value'],
  windowMs: number,
): Filled {
  const { fillPanels, isRepeated, known, meaningsOf, repeated, singlesOf, within } = filling;
  const meanings = meaningsOf(kept, values, windowMs);
  if (!isRepeated(kept.panels)) {
    return { panels: inReadingOrder(fillPanels(kept, meanings)), left: 0 };
  }
  const { shown, left } = repeated(kept.panels, (name) => {
    const variable = kept.variables?.find((one) => one.name === name);
    return variable && singlesOf(variable, values, known.value);
  });
  const panels = shown.flatMap(({ panel, scope }) =>
    fillPanels({ ...kept, panels: [panel] }, within(meanings, scope)),
  );
  return { panels: inReadingOrder(panels), left };
}

/** Set the window that a dashboard begins with, which the service has validated. */
function suggest(dashboard: Dashboard, window: string | undefined): void {
  if (window !== undefined) {
    dashboard.time.suggest(parseDuration(window));
  }
}
