import { printable } from '../format/printable.ts';
import '../style/board.css';
import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { loadPart } from '../browser/part.ts';
import { parseDuration } from '../client/index.ts';
import { EVERYTHING } from '../client/subscriptions/spec.ts';
import { NOTHING, selectorsOf } from '../dashboards/asking.ts';
import { follow } from '../dashboards/following.ts';
import {
  fillIn,
  type Loaded,
  list,
  load,
  Missing,
  type Source,
  type Variable,
  valuesOf,
} from '../dashboards/model.ts';
import { inReadingOrder, placeStyle } from '../dashboards/place.ts';
import type { Panel } from '../panels/model.ts';
import type { Dashboard } from '../state/dashboard.ts';
import type { View } from '../state/view.ts';
import { later } from '../ui/later.tsx';
import { PanelView } from '../ui/panel/panel.tsx';

/** Milliseconds after which it is looked whether variables have other values. */
const LOOK_MS = 15_000;

interface BoardProps {
  readonly dashboard: Dashboard;
  readonly view: View;
}

/** A dashboard that is kept: its panels where they were put, or the means to put them there. */
export function Board({ dashboard, view }: BoardProps) {
  const loaded = useSignal<Loaded | null>(null);
  const failure = useSignal<Error | null>(null);
  const editing = useSignal<Editing | null>(null);
  /** What others did with it. */
  const news = useSignal('');
  const name = view.name.value!;
  const { values, panel: only, kiosk } = view;

  const show = async (): Promise<void> => {
    try {
      const { loading } = view;
      view.loading = null;
      loaded.value = await (loading ?? load(new URL(document.baseURI), view.name.peek()!));
      const { kept } = loaded.value;
      document.title = `${printable(kept.title)} · pushsvc`;
      view.quietly(() => {
        suggest(dashboard, kept.window);
        view.wrong.value = [
          ...new Set([...view.wrong.peek(), ...unknown(values.peek(), kept.variables)]),
        ];
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
  /** The editor comes when it is asked for. */
  const edit = async (): Promise<void> => {
    const [{ Editor }, { entries, writable }] = await Promise.all([
      loadPart(() => import('../editor/editor.tsx')),
      list(new URL(document.baseURI)),
    ]);
    const entry = entries.find((one) => one.name === view.name.peek());
    // It may have been left before it came.
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
  // By its button, by the address, or by going back and forth: what is kept may be another now.
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
  // Others save it too: who looks on sees what they made of it, at once.
  useEffect(() => {
    if (edited || version === undefined) {
      return;
    }
    return follow(new URL(document.baseURI), view.name.peek()!, version, (next) => {
      if (next === null) {
        news.value = 'This dashboard was deleted elsewhere. What is shown is what it was last.';
      } else {
        loaded.value = next;
        document.title = `${next.kept.title} · pushsvc`;
        news.value = 'This dashboard was saved elsewhere: this is the new version.';
      }
    });
  }, [edited, version]);

  // The stream is asked for what is shown; who edits may want any of what there is.
  useSignalEffect(() => {
    if (view.edit.value) {
      dashboard.ask([EVERYTHING]);
    } else if (failure.value !== null) {
      dashboard.ask([NOTHING]);
    } else if (loaded.value !== null) {
      dashboard.ask(selectorsOf(loaded.value.kept, values.value, only));
    }
  });

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
  const { title, description, variables = [], panels } = loaded.value.kept;
  const shown = only === null ? inReadingOrder(panels) : panels.filter(({ id }) => id === only);
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
          {variables.map((variable) => (
            <Choice
              key={variable.name}
              variable={variable}
              value={values.value[variable.name]}
              onChange={(value) => {
                values.value = { ...values.value, [variable.name]: value };
              }}
              onFound={(value) => {
                view.quietly(() => {
                  values.value = { ...values.value, [variable.name]: value };
                });
              }}
            />
          ))}
          {!kiosk && <Ways view={view} name={name} />}
        </header>
      )}
      {shown.length === 0 && (
        <p role="alert">
          {only === null ? 'There are no panels on it yet.' : `There is no panel ${only} on it.`}
        </p>
      )}
      <div class="cells">
        {shown.map((panel) => (
          <Cell
            key={panel.id}
            panel={panel}
            dashboard={dashboard}
            values={values.value}
            alone={kiosk ? undefined : () => view.href({ panel: panel.id })}
          />
        ))}
      </div>
    </section>
  );
}

/** What there is instead, where it can't be shown. */
const Absent = later(
  () => import('./absent.tsx'),
  ({ Absent }) => Absent,
);

/** Where one can go from here. */
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

function Cell({
  panel,
  dashboard,
  values,
  alone,
}: {
  panel: Panel;
  dashboard: Dashboard;
  values: Readonly<Record<string, string>>;
  alone: (() => string) | undefined;
}) {
  const { grid } = panel;
  return (
    <div
      class={grid === undefined ? 'cell' : 'cell placed'}
      style={grid === undefined ? {} : placeStyle(grid)}
    >
      <PanelView
        panel={{ ...panel, select: fillIn(panel.select, values) }}
        dashboard={dashboard}
        alone={alone}
      />
    </div>
  );
}

interface ChoiceProps {
  readonly variable: Variable;
  readonly value: string | undefined;
  readonly onChange: (value: string) => void;
  /** There are values now, and none was chosen yet. */
  readonly onFound: (value: string) => void;
}

/** What a variable stands for; the first of its values until somebody chooses. */
function Choice({ variable, value, onChange, onFound }: ChoiceProps) {
  const found = useSignal<readonly string[]>([]);
  useEffect(() => {
    const look = (): void => {
      // Without an answer there are the values that were there.
      valuesOf(new URL(document.baseURI), variable).then(
        (values) => (found.value = values),
        () => {},
      );
    };
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }, [variable]);
  const [first] = found.value;
  useEffect(() => {
    if (value === undefined && first !== undefined) {
      onFound(first);
    }
  }, [value, first]);
  const options = value === undefined || found.value.includes(value) ? [] : [value];
  return (
    <label class="variable">
      {variable.name}{' '}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {[...options, ...found.value].map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The window that a dashboard begins with; the service has seen to it that it is one. */
function suggest(dashboard: Dashboard, window: string | undefined): void {
  if (window !== undefined) {
    dashboard.time.suggest(parseDuration(window));
  }
}

/** Says which values are of variables that there aren't. */
function unknown(values: Readonly<Record<string, string>>, variables: readonly Variable[] = []) {
  return Object.keys(values)
    .filter((name) => variables.every((variable) => variable.name !== name))
    .map((name) => `var-${name} in the address is of no variable of this dashboard.`);
}
