import './style/fieldsets.css';
import { useSignal } from '@preact/signals';
import { useMemo, useRef } from 'preact/hooks';
import { parseDuration } from '../client/index.ts';
import { fillIn, meaningsOf } from '../dashboards/filling.ts';
import type { Kept, Variable } from '../dashboards/model.ts';
import { FARTHEST, LEAST_WINDOW } from '../dashboards/windows.ts';
import { Combobox } from './combobox.tsx';
import { Dialog } from './dialog.tsx';
import { planLabel } from './model/completion.ts';
import { Names } from './model/names.ts';
import { SelectorField, Selectors } from './selector-field.tsx';

const MOST_VARIABLES = 32;
const MOST_LABEL = 256;
const MOST_TITLE = 200;
const MOST_REGEX = 1024;
const WORD = '[A-Za-z_][A-Za-z0-9_]{0,63}';

interface SettingsFormProps {
  readonly kept: Kept;
  readonly onDone: (settings: Omit<Kept, 'panels'>) => void;
  readonly onClose: () => void;
}

/** The properties of a dashboard apart from its panels. */
export function SettingsForm({ kept, onDone, onClose }: SettingsFormProps) {
  const form = useRef<HTMLFormElement>(null);
  const variables = useSignal<readonly Variable[]>(kept.variables ?? []);
  const selectors = useMemo(() => new Selectors(), []);
  const names = useMemo(() => new Names(new URL(document.baseURI)), []);
  const replace = (index: number, fields: Partial<Variable>): void => {
    variables.value = variables.value.map((one, at) =>
      at === index ? { ...one, ...fields } : one,
    );
  };
  const exchange = (index: number, variable: Variable): void => {
    variables.value = variables.value.map((one, at) => (at === index ? variable : one));
  };
  /** A text that is left out where it is empty. */
  const write = (index: number, field: 'title' | 'all_value', text: string): void => {
    const { [field]: _, ...others } = variables.value[index]!;
    exchange(index, text.trim() === '' ? others : { ...others, [field]: text });
  };
  /** What variables stand for before others' selectors are asked about. */
  const meanings = meaningsOf({ variables: variables.value }, {}, 1);
  const done = (): void => {
    const data = new FormData(form.current!);
    const text = (name: string): string => String(data.get(name)).trim();
    onDone({
      title: text('title'),
      ...(text('description') !== '' && { description: text('description') }),
      ...(text('window') !== '' && { window: text('window') }),
      ...(text('interval') !== '' && { interval: text('interval') }),
      ...(variables.value.length > 0 && { variables: variables.value }),
    });
  };
  return (
    <Dialog title="Settings" onClose={onClose}>
      <form
        ref={form}
        onSubmit={(event) => {
          event.preventDefault();
          void selectors.pass().then((passed) => {
            // The form may have been closed meanwhile.
            if (passed && form.current !== null) {
              done();
            }
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
        <label>
          Time between samples
          <input
            type="text"
            name="interval"
            placeholder="15s"
            title="$__rate_interval is four times that"
            defaultValue={kept.interval ?? ''}
            onInput={({ currentTarget }) =>
              currentTarget.setCustomValidity(
                isDuration(currentTarget.value.trim()) ? '' : 'A duration such as 15s',
              )
            }
          />
        </label>
        <fieldset class="thresholds variables">
          <legend>Variables</legend>
          <p class="remark">
            <code>$name</code> in selectors, expressions and titles stands for what the viewer has
            chosen of a label’s values, or of a list of your own.
          </p>
          {variables.value.map((variable, index) => (
            <fieldset key={index}>
              <legend class="unseen">Variable {index + 1}</legend>
              <label>
                Name
                <input
                  type="text"
                  required
                  pattern={WORD}
                  title="A letter or _, then letters, digits and _"
                  autocomplete="off"
                  spellcheck={false}
                  value={variable.name}
                  onInput={({ currentTarget }) => replace(index, { name: currentTarget.value })}
                />
              </label>
              <label>
                Shown as
                <input
                  type="text"
                  maxLength={MOST_TITLE}
                  placeholder={variable.name}
                  value={variable.title ?? ''}
                  onInput={({ currentTarget }) => write(index, 'title', currentTarget.value)}
                />
              </label>
              <label>
                Values
                <select
                  value={variable.values === undefined ? 'label' : 'list'}
                  onChange={({ currentTarget }) =>
                    exchange(
                      index,
                      currentTarget.value === 'label'
                        ? { ...choiceOf(variable), label: '', select: '' }
                        : { ...choiceOf(variable), values: [] },
                    )
                  }
                >
                  <option value="label">of a label</option>
                  <option value="list">a list</option>
                </select>
              </label>
              {variable.values === undefined ? (
                <>
                  <Combobox
                    label="Label"
                    value={variable.label ?? ''}
                    onInput={(label) => replace(index, { label })}
                    plan={(text) => planLabel(text, fillIn(variable.select ?? '', meanings))}
                    names={names}
                    maxLength={MOST_LABEL}
                  />
                  <SelectorField
                    label="Among the series of"
                    value={variable.select ?? ''}
                    onInput={(select) => replace(index, { select })}
                    selectors={selectors}
                    names={names}
                    meant={(text) => fillIn(text, meanings)}
                  />
                </>
              ) : (
                <label>
                  One after the other, with commas
                  <input
                    type="text"
                    required
                    defaultValue={variable.values.join(', ')}
                    placeholder="1m, 5m, 1h"
                    onChange={({ currentTarget }) =>
                      replace(index, { values: listed(currentTarget.value) })
                    }
                  />
                </label>
              )}
              <label class="check">
                <input
                  type="checkbox"
                  checked={variable.multi === true}
                  onChange={({ currentTarget }) => replace(index, { multi: currentTarget.checked })}
                />
                Several at once
              </label>
              <label class="check">
                <input
                  type="checkbox"
                  checked={variable.all === true}
                  onChange={({ currentTarget }) => {
                    const { all_value: _, ...others } = variable;
                    exchange(index, { ...others, all: currentTarget.checked });
                  }}
                />
                All at once
              </label>
              {variable.all === true && (
                <label>
                  All of them are
                  <input
                    type="text"
                    maxLength={MOST_REGEX}
                    placeholder={variable.values === undefined ? '.+' : 'any of the list'}
                    title="A regular expression in place of the values, such as .*"
                    autocomplete="off"
                    spellcheck={false}
                    value={variable.all_value ?? ''}
                    onInput={({ currentTarget }) => write(index, 'all_value', currentTarget.value)}
                  />
                </label>
              )}
              <label>
                At first
                <input
                  type="text"
                  placeholder={variable.all ? 'the first; $__all for all' : 'the first'}
                  defaultValue={variable.default?.join(', ') ?? ''}
                  onChange={({ currentTarget }) => {
                    const chosen = listed(currentTarget.value);
                    const { default: _, ...others } = variable;
                    exchange(index, chosen.length > 0 ? { ...others, default: chosen } : others);
                  }}
                />
              </label>
              <button
                type="button"
                onClick={() => {
                  variables.value = variables.value.filter((_, one) => one !== index);
                }}
              >
                Remove variable {index + 1}
              </button>
            </fieldset>
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

/** What a variable has whatever its values are of. */
function choiceOf({ name, title, multi, all, all_value }: Variable): Variable {
  return {
    name,
    ...(title !== undefined && { title }),
    ...(multi !== undefined && { multi }),
    ...(all !== undefined && { all }),
    ...(all_value !== undefined && { all_value }),
  };
}

/** What is between commas. */
function listed(text: string): readonly string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);
}

function isDuration(text: string): boolean {
  try {
    return text === '' || parseDuration(text) > 0;
  } catch {
    return false;
  }
}

function isWindow(text: string): boolean {
  try {
    const ms = text === '' ? LEAST_WINDOW : parseDuration(text);
    return ms >= LEAST_WINDOW && ms <= FARTHEST;
  } catch {
    return false;
  }
}
