import '../style/board.css';
import { useComputed, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { parseDuration } from '../client/index.ts';
import { read as readSelector } from '../client/selector.ts';
import type { Dashboard } from '../dashboard.ts';
import { formatSpan } from '../format/time.ts';
import type { Panel } from '../panels/model.ts';
import { PanelView } from '../ui/panel.tsx';
import { type Address, write } from './address.ts';
import {
  fillIn,
  type Loaded,
  list,
  load,
  Missing,
  type Source,
  type Variable,
  valuesOf,
} from './model.ts';
import { placeStyle } from './place.ts';

interface BoardProps {
  readonly dashboard: Dashboard;
  readonly address: Address;
}

/** A dashboard that is kept: its panels where they were put, or the means to put them there. */
export function Board({ dashboard, address }: BoardProps) {
  const loaded = useSignal<Loaded | null>(null);
  const failure = useSignal('');
  const values = useSignal(address.values);
  const editing = useSignal<Editing | null>(null);
  const name = useSignal(address.name!);

  const show = async (): Promise<void> => {
    try {
      loaded.value = await load(new URL(document.baseURI), name.value);
      const { kept } = loaded.value;
      document.title = `${kept.title} · pushsvc`;
      const window = address.window ?? kept.window;
      if (window !== undefined) {
        choose(dashboard, window);
      }
    } catch (error) {
      if (!(error instanceof Missing && address.edit)) {
        throw error;
      }
    }
    if (address.edit) {
      await edit();
    }
  };
  /** The editor comes when it is asked for. */
  const edit = async (): Promise<void> => {
    const [{ Editor }, { entries, writable }] = await Promise.all([
      import('../editor/editor.tsx'),
      list(new URL(document.baseURI)),
    ]);
    const entry = entries.find((one) => one.name === name.value);
    editing.value = { Editor, writable, source: entry?.source ?? 'saved' };
    history.replaceState(null, '', write({ ...here(), edit: true }));
  };
  const attempt = (act: () => Promise<void>): void => {
    act().catch((error) => {
      failure.value = (error as Error).message;
    });
  };
  const here = (): Address => ({
    ...address,
    name: name.value,
    edit: false,
    window: formatSpan(dashboard.windowMs.value),
    values: values.value,
  });
  useEffect(() => attempt(show), []);

  if (failure.value !== '') {
    return (
      <section class="message">
        <h3>This dashboard can’t be shown</h3>
        <p role="alert">{failure.value}</p>
        <p>
          <a href="./">All metrics</a>
        </p>
      </section>
    );
  }
  if (editing.value !== null) {
    const { Editor, writable, source } = editing.value;
    return (
      <Editor
        dashboard={dashboard}
        name={name.value}
        loaded={loaded.value}
        source={source}
        writable={writable}
        values={values.value}
        onDone={(kept) => {
          location.assign(write({ ...here(), name: kept }));
        }}
      />
    );
  }
  if (loaded.value === null) {
    return <p role="status">Loading…</p>;
  }
  const { title, description, variables = [], panels } = loaded.value.kept;
  const shown = address.panel === null ? panels : panels.filter(({ id }) => id === address.panel);
  return (
    <section class={address.panel === null ? 'board' : 'board alone'} aria-label={title}>
      {address.panel === null && (
        <header>
          <h2>{title}</h2>
          {description && <p>{description}</p>}
          {variables.map((variable) => (
            <Choice
              key={variable.name}
              variable={variable}
              dashboard={dashboard}
              value={values.value[variable.name]}
              onChange={(value) => {
                values.value = { ...values.value, [variable.name]: value };
                history.replaceState(null, '', write(here()));
              }}
            />
          ))}
          {!address.kiosk && (
            <p class="ways">
              <a href={write(here())}>Link to this view</a>{' '}
              <a href={write({ ...here(), kiosk: true })}>Kiosk</a>{' '}
              <a
                href={`v1/dashboards/${encodeURIComponent(name.value)}`}
                download={`${name.value}.json`}
              >
                Export
              </a>{' '}
              <button type="button" onClick={() => attempt(edit)}>
                Edit
              </button>
            </p>
          )}
        </header>
      )}
      {shown.length === 0 && (
        <p role="alert">
          {address.panel === null
            ? 'There are no panels on it yet.'
            : `There is no panel ${address.panel} on it.`}
        </p>
      )}
      <div class="cells">
        {shown.map((panel) => (
          <Cell
            key={panel.id}
            panel={panel}
            dashboard={dashboard}
            values={values.value}
            alone={address.kiosk ? undefined : write({ ...here(), panel: panel.id })}
          />
        ))}
      </div>
    </section>
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
  alone: string | undefined;
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
  readonly dashboard: Dashboard;
  readonly value: string | undefined;
  readonly onChange: (value: string) => void;
}

/** What a variable stands for; the first of its values until somebody chooses. */
function Choice({ variable, dashboard, value, onChange }: ChoiceProps) {
  const found = useComputed(() => {
    const matches = readSelector(variable.select);
    return matches === null ? [] : valuesOf(variable, dashboard.panels.value, matches);
  });
  const [first] = found.value;
  useEffect(() => {
    if (value === undefined && first !== undefined) {
      onChange(first);
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

function choose(dashboard: Dashboard, window: string): void {
  try {
    dashboard.choose(parseDuration(window), false);
  } catch {
    // A window in the URL that is none: the usual one then.
  }
}
