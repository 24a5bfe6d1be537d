import './editor.css';
import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Dashboard } from '../dashboard.ts';
import { fillIn, type Kept, type Loaded, load, type Source } from '../dashboards/model.ts';
import type { Panel } from '../panels/model.ts';
import { PanelView } from '../ui/panel.tsx';
import { hand } from '../ui/saving.ts';
import { Asking, Question } from './dialog.tsx';
import { Draft } from './draft.ts';
import { Handles } from './handles.tsx';
import { nameOf, remove, save } from './keeping.ts';
import { firstFree, type Placed } from './layout.ts';
import { PanelForm } from './panel-form.tsx';
import { read } from './reading.ts';
import { SettingsForm } from './settings-form.tsx';

interface EditorProps {
  readonly dashboard: Dashboard;
  /** As the URL has it. */
  readonly name: string;
  /** What the service keeps of this name; null where it has none. */
  readonly loaded: Loaded | null;
  readonly source: Source;
  /** Whether the service keeps dashboards at all. */
  readonly writable: boolean;
  readonly values: Readonly<Record<string, string>>;
  /** Back to looking, at the dashboard of this name. */
  readonly onDone: (name: string) => void;
}

const EMPTY: Kept = { title: 'New dashboard', panels: [] };

type Open =
  | { readonly form: 'panel'; readonly panel: Panel | null }
  | { readonly form: 'settings' }
  | { readonly form: 'name'; readonly reason: string }
  | { readonly form: 'conflict' }
  | { readonly form: 'delete' }
  | { readonly form: 'leave' };

/** A dashboard that is being made: panels can be moved, sized, added, changed and removed. */
export function Editor({ dashboard, name, loaded, source, writable, values, onDone }: EditorProps) {
  const draft = useMemo(() => new Draft(loaded?.kept ?? EMPTY, loaded !== null), []);
  // What is provisioned, or comes with the service, is saved under a name of its own.
  const owned = source === 'saved';
  const place = useSignal({ name, etag: (owned && loaded?.etag) || null });
  const named = useSignal(loaded !== null && owned);
  const opened = useSignal<Open | null>(null);
  const preview = useSignal<readonly Placed[] | null>(null);
  const said = useSignal('');
  const failure = useSignal('');
  const saving = useSignal(false);
  const panels = useComputed(() => preview.value ?? draft.current.value.panels);
  const close = (): void => {
    opened.value = null;
  };

  useEffect(() => {
    const unload = (event: BeforeUnloadEvent): void => {
      if (draft.dirty.peek()) {
        event.preventDefault();
      }
    };
    const press = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (!(event.ctrlKey || event.metaKey) || target.closest('dialog, input, textarea')) {
        return;
      }
      const key = event.key.toLowerCase();
      if (key === 's') {
        void keep();
      } else if (key === 'z' && !event.shiftKey) {
        undo();
      } else if (key === 'y' || key === 'z') {
        redo();
      } else {
        return;
      }
      event.preventDefault();
    };
    addEventListener('beforeunload', unload);
    document.addEventListener('keydown', press);
    return () => {
      removeEventListener('beforeunload', unload);
      document.removeEventListener('keydown', press);
    };
  }, []);

  const undo = (): void => {
    if (draft.undoable.peek()) {
      draft.undo();
      said.value = 'Taken back';
    }
  };
  const redo = (): void => {
    if (draft.redoable.peek()) {
      draft.redo();
      said.value = 'Done again';
    }
  };

  /** Save under the name it has; ask for one if it has none. True when it is kept. */
  const keep = async (): Promise<boolean> => {
    if (!named.peek()) {
      opened.value = { form: 'name', reason: '' };
      return false;
    }
    const { current } = draft;
    const written = current.peek();
    saving.value = true;
    const outcome = await save(place.peek().name, written, place.peek().etag);
    saving.value = false;
    failure.value = outcome.type === 'refused' ? `Not saved: ${outcome.reason}.` : '';
    if (outcome.type === 'conflict') {
      opened.value = { form: 'conflict' };
    }
    if (outcome.type !== 'saved') {
      return false;
    }
    place.value = { ...place.peek(), etag: outcome.etag };
    draft.written(written);
    said.value = `Saved as ${place.peek().name}`;
    return true;
  };

  /** Save under another name, where there is nothing yet. */
  const keepAs = async (wanted: string): Promise<void> => {
    const before = place.peek();
    place.value = { name: wanted, etag: null };
    const outcome = await save(wanted, draft.current.peek(), null);
    if (outcome.type === 'saved') {
      place.value = { name: wanted, etag: outcome.etag };
      named.value = true;
      draft.written(draft.current.peek());
      history.replaceState(null, '', `/d/${wanted}?edit`);
      said.value = `Saved as ${wanted}`;
      failure.value = '';
      close();
      return;
    }
    place.value = before;
    opened.value = {
      form: 'name',
      reason:
        outcome.type === 'conflict'
          ? `There is a dashboard ${wanted} already.`
          : `Not saved: ${outcome.reason}.`,
    };
  };

  const overwrite = async (): Promise<void> => {
    close();
    const theirs = await load(new URL('/', location.href), place.peek().name).catch(() => null);
    place.value = { ...place.peek(), etag: theirs?.etag ?? null };
    await keep();
  };

  const takeTheirs = async (): Promise<void> => {
    close();
    try {
      const theirs = await load(new URL('/', location.href), place.peek().name);
      draft.replace(theirs.kept);
      place.value = { ...place.peek(), etag: theirs.etag };
      said.value = 'This is what was saved meanwhile; your own is one step back';
    } catch (error) {
      failure.value = (error as Error).message;
    }
  };

  const dispose = async (): Promise<void> => {
    close();
    const outcome = await remove(place.peek().name, place.peek().etag!);
    if (outcome.type === 'saved') {
      draft.written(draft.current.peek());
      location.assign('/');
    } else {
      failure.value =
        outcome.type === 'conflict'
          ? 'Not deleted: somebody else has saved it meanwhile.'
          : `Not deleted: ${outcome.reason}.`;
    }
  };

  const leave = (): void => {
    if (draft.dirty.peek() && loadedOrChanged()) {
      opened.value = { form: 'leave' };
    } else {
      done();
    }
  };
  const loadedOrChanged = (): boolean => loaded !== null || draft.undoable.peek();
  const done = (): void => {
    if (loaded === null && place.peek().etag === null) {
      location.assign('/');
    } else {
      onDone(place.peek().name);
    }
  };

  const takeFile = async (file: File | undefined): Promise<void> => {
    if (file === undefined) {
      return;
    }
    try {
      draft.change(read(await file.text()));
      failure.value = '';
      said.value = `Took in ${file.name}; it isn’t saved yet`;
    } catch (error) {
      failure.value = `${file.name} is no dashboard: ${(error as Error).message}.`;
    }
  };

  const setPanel = (before: Panel | null, next: Panel): void => {
    const { current } = draft;
    const now = current.peek();
    if (before === null) {
      const size = { w: 6, h: 4 };
      draft.arrange([...now.panels, { ...next, grid: firstFree(now.panels, size) }]);
    } else {
      draft.arrange(
        now.panels.map((one) => (one.id === before.id ? { ...next, grid: one.grid } : one)),
      );
    }
    close();
  };

  const { title, description } = draft.current.value;
  const open = opened.value;
  return (
    <section class="board editor" aria-label={`Editing ${title}`}>
      <header>
        <h2>{title}</h2>
        {draft.dirty.value && <span class="chip">not saved</span>}
        {description && <p>{description}</p>}
        <div class="tools" role="toolbar" aria-label="Editing">
          <button type="button" onClick={() => (opened.value = { form: 'panel', panel: null })}>
            Add a panel
          </button>
          <button type="button" onClick={() => (opened.value = { form: 'settings' })}>
            Settings
          </button>
          <button type="button" disabled={!draft.undoable.value} onClick={undo} title="Ctrl+Z">
            Undo
          </button>
          <button
            type="button"
            disabled={!draft.redoable.value}
            onClick={redo}
            title="Ctrl+Shift+Z"
          >
            Redo
          </button>
          <label class="button">
            Import
            <input
              class="unseen"
              type="file"
              accept=".json,application/json"
              onChange={(event) => {
                const { currentTarget } = event;
                void takeFile(currentTarget.files?.[0]).then(() => {
                  currentTarget.value = '';
                });
              }}
            />
          </label>
          <button type="button" onClick={() => handOut(place.value.name, draft.current.value)}>
            Export
          </button>
          {place.value.etag !== null && (
            <button type="button" onClick={() => (opened.value = { form: 'delete' })}>
              Delete
            </button>
          )}
          <button
            type="button"
            disabled={!writable || saving.value}
            onClick={() => (opened.value = { form: 'name', reason: '' })}
          >
            Save as…
          </button>
          <button
            type="button"
            class="first"
            disabled={!writable || saving.value || !draft.dirty.value}
            onClick={() => void keep()}
            title="Ctrl+S"
          >
            {saving.value ? 'Saving…' : 'Save'}
          </button>
          <button type="button" onClick={leave}>
            Done
          </button>
        </div>
      </header>
      {!writable && (
        <p class="remark">
          This service keeps no dashboards: start it with <code>--dashboards DIRECTORY</code>. What
          you make can be exported, and provisioned as a file.
        </p>
      )}
      {writable && !owned && !named.value && (
        <p class="remark">
          This dashboard is {source === 'shipped' ? 'one that comes with pushsvc' : 'provisioned'},
          so what you make of it is saved under another name.
        </p>
      )}
      {failure.value !== '' && (
        <p class="failure" role="alert">
          {failure.value}
        </p>
      )}
      <p class="unseen" role="status">
        {said.value}
      </p>
      {panels.value.length === 0 && (
        <section class="message">
          <h3>An empty dashboard</h3>
          <p>Add a panel: a selector such as a metric’s name is all that it takes.</p>
        </section>
      )}
      <div class="cells editing">
        {panels.value.map((panel) => (
          <div
            key={panel.id}
            class="cell placed"
            style={{
              '--x': panel.grid.x + 1,
              '--y': panel.grid.y + 1,
              '--w': panel.grid.w,
              '--h': panel.grid.h,
            }}
          >
            <PanelView
              panel={{ ...panel, select: fillIn(panel.select, values) }}
              dashboard={dashboard}
            />
            <Handles
              panel={panel}
              panels={draft.current.value.panels}
              onPreview={(next) => (preview.value = next)}
              onArrange={(next, what) => {
                draft.arrange(next);
                said.value = what;
              }}
              onChange={() => (opened.value = { form: 'panel', panel })}
            />
          </div>
        ))}
      </div>
      {open?.form === 'panel' && (
        <PanelForm
          panel={open.panel}
          taken={draft.current.value.panels.map(({ id }) => id)}
          dashboard={dashboard}
          values={values}
          onDone={(next) => setPanel(open.panel, next)}
          onClose={close}
        />
      )}
      {open?.form === 'settings' && (
        <SettingsForm
          kept={draft.current.value}
          onDone={(settings) => {
            draft.change({ ...settings, panels: draft.current.peek().panels });
            close();
          }}
          onClose={close}
        />
      )}
      {open?.form === 'name' && (
        <Asking
          title="Save as"
          label="Name"
          hint="It is in the URL, and names the file: a-z, 0-9 and -."
          value={named.value ? `${place.value.name}-copy` : suggested(name, title, loaded)}
          reason={open.reason}
          action="Save"
          onDone={(wanted) => void keepAs(wanted)}
          onClose={close}
        />
      )}
      {open?.form === 'conflict' && (
        <Question
          title="Somebody else has saved this dashboard meanwhile"
          text="What they saved isn’t what you began with. Nothing of yours is lost yet."
          onClose={close}
          actions={[
            ['Save mine as a copy', () => (opened.value = { form: 'name', reason: '' })],
            ['Take theirs', () => void takeTheirs()],
            ['Overwrite theirs', () => void overwrite()],
          ]}
        />
      )}
      {open?.form === 'delete' && (
        <Question
          title={`Delete ${title}?`}
          text="It goes for everybody. Export it first if it may be wanted again."
          onClose={close}
          actions={[['Delete', () => void dispose()]]}
        />
      )}
      {open?.form === 'leave' && (
        <Question
          title="Not everything is saved"
          text={`${title} was changed since it was last saved.`}
          onClose={close}
          actions={[
            ...(writable
              ? ([
                  [
                    'Save',
                    () => {
                      close();
                      void keep().then((kept) => {
                        if (kept) {
                          done();
                        }
                      });
                    },
                  ],
                ] as const)
              : []),
            [
              'Discard',
              () => {
                draft.written(draft.current.peek());
                done();
              },
            ],
          ]}
        />
      )}
    </section>
  );
}

function suggested(name: string, title: string, loaded: Loaded | null): string {
  return loaded === null ? (title === EMPTY.title ? name : nameOf(title)) : `my-${name}`;
}

/** Hand a dashboard out as a file. */
function handOut(name: string, kept: Kept): void {
  const text = `${JSON.stringify(kept, null, 2)}\n`;
  hand(`${name}.json`, new Blob([text], { type: 'application/json' }));
}
