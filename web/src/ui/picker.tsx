import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { ALL } from '../dashboards/filling.ts';

/** With more values than these there is a field to search them. */
const FEW = 8;
/** The most values that the list shows. */
const MOST_WRITTEN = 200;
/** The most values that the button names; if more are chosen it says how many. */
const MOST_NAMED = 2;

interface PickerProps {
  readonly title: string;
  readonly values: readonly string[];
  /** Those of `values` that no series has at present. */
  readonly lost: readonly string[];
  readonly chosen: readonly string[];
  readonly multi: boolean;
  readonly all: boolean;
  readonly onChange: (chosen: readonly string[]) => void;
}

/**
 * A choice of one or several values: a button that names the chosen ones, and opens a list that can
 * be searched.
 */
export function Picker({ title, values, lost, chosen, multi, all, onChange }: PickerProps) {
  const open = useSignal(false);
  const search = useSignal('');
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const shown = open.value;
  const close = (): void => {
    open.value = false;
    search.value = '';
  };
  useEffect(() => {
    if (!shown) {
      return;
    }
    root.current!.querySelector<HTMLElement>('.values input')?.focus();
    const outside = ({ target }: Event): void => {
      if (!root.current!.contains(target as Node)) {
        close();
      }
    };
    addEventListener('pointerdown', outside);
    addEventListener('focusin', outside);
    return () => {
      removeEventListener('pointerdown', outside);
      removeEventListener('focusin', outside);
    };
  }, [shown]);
  const toggle = (value: string): void => {
    if (!multi || value === ALL) {
      onChange([value]);
      return;
    }
    const others = chosen.filter((one) => one !== ALL && one !== value);
    const next = chosen.includes(value) ? others : [...others, value];
    // At least one stays chosen: without a value there would be nothing to ask for.
    onChange(next.length > 0 ? values.filter((one) => next.includes(one)) : chosen);
  };
  const wanted = search.value.toLowerCase();
  const found = values.filter((value) => value.toLowerCase().includes(wanted));
  const written = found.slice(0, MOST_WRITTEN);
  const rest = found.length - written.length;
  const named = chosen.map((value) => (value === ALL ? 'All' : value));
  const summary =
    named.length > MOST_NAMED ? `${named.length} of ${values.length}` : named.join(', ') || '–';
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape counts wherever within it one is.
    <div
      class="variable"
      ref={root}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && shown) {
          event.stopPropagation();
          close();
          button.current!.focus();
        }
      }}
    >
      <button
        ref={button}
        type="button"
        class="picked"
        aria-expanded={shown}
        aria-controls={shown ? id : undefined}
        title={named.join(', ')}
        onClick={() => {
          if (shown) {
            close();
          } else {
            open.value = true;
          }
        }}
      >
        {title} <b>{summary}</b>
      </button>
      {shown && (
        <fieldset class="values" id={id}>
          <legend class="unseen">{title}</legend>
          {values.length > FEW && (
            <input
              type="search"
              aria-label={`Search values of ${title}`}
              placeholder="Search"
              autocomplete="off"
              spellcheck={false}
              value={search.value}
              onInput={({ currentTarget }) => (search.value = currentTarget.value)}
            />
          )}
          <p class="unseen" role="status">
            {wanted !== '' && `${found.length} found`}
          </p>
          <ul>
            {all && wanted === '' && (
              <Value
                name={id}
                multi={multi}
                checked={chosen.includes(ALL)}
                onChange={() => toggle(ALL)}
              >
                All
              </Value>
            )}
            {written.map((value) => (
              <Value
                key={value}
                name={id}
                multi={multi}
                checked={chosen.includes(value)}
                onChange={() => toggle(value)}
              >
                {value}
                {lost.includes(value) && ' (not there now)'}
              </Value>
            ))}
          </ul>
          {found.length === 0 && <p class="remark">None of {values.length} has that in it.</p>}
          {rest > 0 && <p class="remark">{rest} more: search for them.</p>}
        </fieldset>
      )}
    </div>
  );
}

interface ValueProps {
  readonly name: string;
  readonly multi: boolean;
  readonly checked: boolean;
  readonly onChange: () => void;
  readonly children: ComponentChildren;
}

function Value({ name, multi, checked, onChange, children }: ValueProps) {
  return (
    <li>
      <label>
        <input
          type={multi ? 'checkbox' : 'radio'}
          name={name}
          checked={checked}
          onChange={onChange}
        />
        <span>{children}</span>
      </label>
    </li>
  );
}
