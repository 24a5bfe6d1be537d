import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { type Entry, list } from '../dashboards/model.ts';
import { Dialog } from '../editor/dialog.tsx';
import { type Added, addTo, addToNew } from '../editor/model/adding.ts';
import { ASKING, KINDS } from '../editor/model/kinds.ts';
import type { Panel, PanelKind } from '../panels/model.ts';

interface AddFormProps {
  readonly select: string;
  readonly onDone: (added: Extract<Added, { type: 'added' }>) => void;
  readonly onClose: () => void;
}

/** What stands for a new dashboard; no name has a blank. */
const NEW = ' ';

/** Asks which dashboard an expression is added to, and adds it. */
export function AddForm({ select, onDone, onClose }: AddFormProps) {
  const kind = useSignal<PanelKind>('line');
  const found = useSignal<Awaited<ReturnType<typeof list>> | null>(null);
  const chosen = useSignal<string>(NEW);
  const title = useSignal('');
  const fresh = useSignal('');
  const failure = useSignal('');
  const adding = useSignal(false);
  useEffect(() => {
    list(new URL(document.baseURI)).then(
      (there) => {
        found.value = there;
        chosen.value = saved(there.entries)[0]?.name ?? NEW;
      },
      (error: Error) => {
        failure.value = error.message;
      },
    );
  }, []);
  const add = async (): Promise<void> => {
    adding.value = true;
    const panel: Omit<Panel, 'id'> = {
      kind: kind.value,
      select,
      ...(title.value && { title: title.value }),
    };
    const added =
      chosen.value === NEW
        ? await addToNew(fresh.value, panel, found.value!.entries)
        : await addTo(new URL(document.baseURI), chosen.value, panel);
    adding.value = false;
    if (added.type === 'added') {
      onDone(added);
    } else {
      failure.value = added.reason;
    }
  };
  const dashboards = found.value;
  return (
    <Dialog title="Add to a dashboard" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!adding.peek()) {
            void add();
          }
        }}
      >
        {dashboards === null ? (
          <p role="status">{failure.value === '' && 'Asking for the dashboards…'}</p>
        ) : dashboards.writable ? (
          <>
            <label>
              Dashboard
              <select
                value={chosen.value}
                onChange={({ currentTarget }) => (chosen.value = currentTarget.value)}
              >
                {saved(dashboards.entries).map((entry) => (
                  <option key={entry.name} value={entry.name}>
                    {entry.title ?? entry.name}
                  </option>
                ))}
                <option value={NEW}>A new one</option>
              </select>
            </label>
            {chosen.value === NEW && (
              <label>
                Title of the dashboard
                <input
                  type="text"
                  maxLength={200}
                  required
                  value={fresh.value}
                  onInput={({ currentTarget }) => (fresh.value = currentTarget.value)}
                />
              </label>
            )}
            <label>
              Shown as
              <select
                value={kind.value}
                onChange={({ currentTarget }) => (kind.value = currentTarget.value as PanelKind)}
              >
                {ASKING.map((one) => (
                  <option key={one} value={one}>
                    {KINDS[one]}
                  </option>
                ))}
              </select>
            </label>
            <label>
              Title of the panel
              <input
                type="text"
                maxLength={200}
                placeholder={select}
                value={title.value}
                onInput={({ currentTarget }) => (title.value = currentTarget.value)}
              />
            </label>
          </>
        ) : (
          <p>
            This service keeps no dashboards: start it with <code>--dashboards DIRECTORY</code>.
          </p>
        )}
        {failure.value !== '' && (
          <p class="failure" role="alert">
            Nothing was added: {failure.value}.
          </p>
        )}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          {dashboards?.writable && (
            <button type="submit" class="first">
              Add
            </button>
          )}
        </div>
      </form>
    </Dialog>
  );
}

/** The dashboards that a panel can be added to: others are files that only the operator changes. */
function saved(entries: readonly Entry[]): readonly Entry[] {
  return entries.filter(({ source }) => source === 'saved');
}
