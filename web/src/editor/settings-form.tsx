import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { parseDuration } from '../client/index.ts';
import type { Kept, Variable } from '../dashboards/model.ts';
import { FARTHEST, LEAST_WINDOW } from '../windows.ts';
import { Dialog } from './dialog.tsx';

const MOST_VARIABLES = 8;
const WORD = '[A-Za-z_][A-Za-z0-9_]{0,63}';

interface SettingsFormProps {
  readonly kept: Kept;
  readonly onDone: (settings: Omit<Kept, 'panels'>) => void;
  readonly onClose: () => void;
}

/** What a dashboard has beside its panels. */
export function SettingsForm({ kept, onDone, onClose }: SettingsFormProps) {
  const form = useRef<HTMLFormElement>(null);
  const variables = useSignal<readonly Variable[]>(kept.variables ?? []);
  const replace = (index: number, fields: Partial<Variable>): void => {
    variables.value = variables.value.map((one, at) =>
      at === index ? { ...one, ...fields } : one,
    );
  };
  return (
    <Dialog title="Settings" onClose={onClose}>
      <form
        ref={form}
        onSubmit={(event) => {
          event.preventDefault();
          const data = new FormData(form.current!);
          const text = (name: string): string => String(data.get(name)).trim();
          onDone({
            title: text('title'),
            ...(text('description') !== '' && { description: text('description') }),
            ...(text('window') !== '' && { window: text('window') }),
            ...(variables.value.length > 0 && { variables: variables.value }),
          });
        }}
      >
        <label>
          Title
          <input type="text" name="title" required maxLength={200} defaultValue={kept.title} />
        </label>
        <label>
          Description
          <input
            type="text"
            name="description"
            maxLength={2000}
            defaultValue={kept.description ?? ''}
          />
        </label>
        <label>
          Window at first
          <input
            type="text"
            name="window"
            placeholder="15m"
            defaultValue={kept.window ?? ''}
            onInput={({ currentTarget }) =>
              currentTarget.setCustomValidity(
                isWindow(currentTarget.value.trim()) ? '' : 'A span from 5s to 6h, such as 15m',
              )
            }
          />
        </label>
        <fieldset class="thresholds">
          <legend>Variables</legend>
          <p class="remark">
            <code>$name</code> within a selector’s quotes stands for what the viewer has chosen of a
            label’s values.
          </p>
          {variables.value.map((variable, index) => (
            <div key={index}>
              {(['name', 'label', 'select'] as const).map((field) => (
                <input
                  key={field}
                  type="text"
                  required
                  aria-label={`${field === 'select' ? 'Selector' : field === 'name' ? 'Name' : 'Label'} of variable ${index + 1}`}
                  placeholder={field === 'select' ? 'selector' : field}
                  {...(field !== 'select' && { pattern: WORD })}
                  value={variable[field]}
                  onInput={({ currentTarget }) => replace(index, { [field]: currentTarget.value })}
                />
              ))}
              <button
                type="button"
                aria-label={`Remove variable ${index + 1}`}
                onClick={() => {
                  variables.value = variables.value.filter((_, one) => one !== index);
                }}
              >
                ×
              </button>
            </div>
          ))}
          {variables.value.length < MOST_VARIABLES && (
            <button
              type="button"
              onClick={() => {
                variables.value = [...variables.value, { name: '', label: '', select: '' }];
              }}
            >
              Add a variable
            </button>
          )}
        </fieldset>
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="first">
            Apply
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function isWindow(text: string): boolean {
  try {
    const ms = text === '' ? LEAST_WINDOW : parseDuration(text);
    return ms >= LEAST_WINDOW && ms <= FARTHEST;
  } catch {
    return false;
  }
}
