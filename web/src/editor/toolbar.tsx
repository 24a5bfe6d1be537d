import type { Kept } from '../dashboards/model.ts';
import { hand } from '../ui/panel/saving.ts';
import type { Session } from './model/session.ts';

interface ToolbarProps {
  readonly session: Session;
  /** Whether dashboards can be saved. */
  readonly writable: boolean;
  readonly onLeave: () => void;
}

/** The buttons above a dashboard that is being edited. */
export function Toolbar({ session, writable, onLeave }: ToolbarProps) {
  const { draft, opened, saving } = session;
  const ask = (form: 'settings' | 'delete') => (): void => {
    opened.value = { form };
  };
  return (
    <div class="tools" role="toolbar" aria-label="Editing">
      <button type="button" onClick={() => (opened.value = { form: 'panel', id: null })}>
        Add a panel
      </button>
      <button type="button" onClick={ask('settings')}>
        Settings
      </button>
      <button
        type="button"
        disabled={!draft.undoable.value}
        onClick={() => session.undo()}
        title="Ctrl+Z"
      >
        Undo
      </button>
      <button
        type="button"
        disabled={!draft.redoable.value}
        onClick={() => session.redo()}
        title="Ctrl+Shift+Z"
      >
        Redo
      </button>
      <label class="button">
        Import
        <input
          type="file"
          accept=".json,application/json"
          onChange={(event) => {
            const { currentTarget } = event;
            const [file] = currentTarget.files ?? [];
            if (file !== undefined) {
              void session.takeFile(file).then(() => {
                currentTarget.value = '';
              });
            }
          }}
        />
      </label>
      <button type="button" onClick={() => handOut(session.name.value, draft.current.value)}>
        Export
      </button>
      {session.etag.value !== null && (
        <button type="button" onClick={ask('delete')}>
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
        onClick={() => void session.keep()}
        title="Ctrl+S"
      >
        {saving.value ? 'Saving…' : 'Save'}
      </button>
      <button type="button" onClick={onLeave}>
        Done
      </button>
    </div>
  );
}

/** Download a dashboard as a file. */
function handOut(name: string, kept: Kept): void {
  const text = `${JSON.stringify(kept, null, 2)}\n`;
  hand(`${name}.json`, new Blob([text], { type: 'application/json' }));
}
