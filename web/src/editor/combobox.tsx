import { useSignal } from '@preact/signals';
import type { Ref } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { Completion, Offer } from './completion.ts';

interface ComboboxProps {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  /** What goes in at the caret; null where nothing would. */
  readonly complete: (text: string, caret: number) => Completion | null;
  /** What is offered comes of; there may be more of it later. */
  readonly source: unknown;
  /** Called when somebody is about to write. */
  readonly onFocus?: () => void;
  readonly field?: Ref<HTMLInputElement>;
  readonly placeholder?: string;
  readonly pattern?: string;
  readonly maxLength?: number;
  readonly describedBy?: string;
  readonly invalid?: boolean;
}

/**
 * A field that offers what may be written next, as the combobox of the ARIA Authoring Practices with
 * a list of suggestions: Down and Up go through them, Enter takes one, Escape closes the list.
 */
export function Combobox(props: ComboboxProps) {
  const { label, value, onInput, complete, onFocus, field: outer } = props;
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const found = useSignal<Completion | null>(null);
  /** Index of the offer that Enter takes; -1 for none. */
  const active = useSignal(-1);
  /** Whether somebody is writing, to whom what comes late is offered as well. */
  const writing = useRef(false);
  const show = (): void => {
    writing.current = true;
    const { value: text, selectionStart } = field.current!;
    const next = complete(text, selectionStart ?? text.length);
    // What stands there already needs no offer.
    const done = next?.offers.every((offer) => offer.text === text.slice(next.from, next.to));
    found.value = done ? null : next;
    active.value = -1;
  };
  const close = (): void => {
    writing.current = false;
    found.value = null;
    active.value = -1;
  };
  const take = ({ from, to }: Completion, offer: Offer): void => {
    const { current } = field;
    current!.setRangeText(offer.text, from, to);
    current!.setSelectionRange(from + offer.caret, from + offer.caret);
    onInput(current!.value);
    // A label is followed by its values.
    show();
  };
  const go = (step: 1 | -1): void => {
    const { length } = found.value!.offers;
    active.value = (active.value + step + (step < 0 && active.value < 0 ? 1 : 0) + length) % length;
  };
  const press = (event: KeyboardEvent): void => {
    const open = found.value;
    const { key } = event;
    if (key === 'ArrowDown' || key === 'ArrowUp') {
      if (open === null) {
        show();
      }
      if (found.value !== null && !event.altKey) {
        go(key === 'ArrowDown' ? 1 : -1);
      }
    } else if (key === 'Escape' && open !== null) {
      close();
    } else if (key === 'Enter' && open !== null && active.value >= 0) {
      take(open, open.offers[active.value]!);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  useEffect(() => {
    if (writing.current) {
      show();
    }
  }, [props.source]);
  const open = found.value;
  const at = active.value;
  useEffect(() => {
    list.current?.children[Math.max(at, 0)]?.scrollIntoView({ block: 'nearest' });
  }, [open, at]);
  return (
    <div class="combobox">
      <label for={id}>{label}</label>
      <input
        id={id}
        ref={(element) => {
          field.current = element;
          if (typeof outer === 'function') {
            outer(element);
          } else if (outer) {
            outer.current = element;
          }
        }}
        type="text"
        role="combobox"
        required
        aria-expanded={open !== null}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={at < 0 ? undefined : `${id}-${at}`}
        aria-describedby={props.describedBy}
        aria-invalid={props.invalid}
        {...(props.maxLength !== undefined && { maxLength: props.maxLength })}
        {...(props.pattern !== undefined && { pattern: props.pattern })}
        {...(props.placeholder !== undefined && { placeholder: props.placeholder })}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        value={value}
        onFocus={onFocus}
        onBlur={close}
        onInput={({ currentTarget }) => {
          onInput(currentTarget.value);
          show();
        }}
        onKeyDown={press}
      />
      <div ref={list} id={`${id}-list`} role="listbox" aria-label="Suggestions" hidden={!open}>
        {open?.offers.map((offer, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys.
          // biome-ignore lint/a11y/useFocusableInteractive: the field has the focus.
          <div
            key={offer.title + offer.text}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === at}
            // The field keeps the focus.
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => take(open, offer)}
          >
            {offer.title}
          </div>
        ))}
      </div>
    </div>
  );
}
