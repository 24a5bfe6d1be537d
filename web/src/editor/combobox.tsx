import './style/combobox.css';
import { useSignal } from '@preact/signals';
import type { Ref } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { Completion, Offer, Plan } from './model/completion.ts';
import type { Names } from './model/names.ts';

/** After the last key, before the server is asked. */
const PAUSE_MS = 120;

interface ComboboxProps {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  /** What may go in at the caret; null where nothing would. */
  readonly plan: (text: string, caret: number) => Plan | null;
  readonly names: Names;
  readonly field?: Ref<HTMLElement>;
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
  const { label, value, onInput, plan, names, field: outer } = props;
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const found = useSignal<Completion | null>(null);
  /** Index of the offer that Enter takes; -1 for none. */
  const active = useSignal(-1);
  /** What is being asked of the server, or is about to be. */
  const asking = useRef<AbortController | null>(null);
  /** Offer what may be written now, after `pause` if the server has to say it, and go to the first. */
  const show = (pause: number, first = false): void => {
    asking.current?.abort();
    asking.current = null;
    const { value: text, selectionStart } = field.current!;
    const next = plan(text, selectionStart ?? text.length);
    const offer = (completion: Completion | null): void => {
      // What stands there already needs no offer.
      const done = completion?.offers.every(
        (offer) => offer.text === text.slice(completion.from, completion.to),
      );
      found.value = done ? null : completion;
      active.value = first && found.value !== null ? 0 : -1;
    };
    const offerAll = (answers: readonly (readonly string[] | null)[]): boolean => {
      const all = answers.filter((answer) => answer !== null);
      offer(all.length < answers.length ? null : next!.complete(all));
      return all.length === answers.length;
    };
    if (next === null) {
      offer(null);
    } else if (!offerAll(next.asks.map((ask) => names.recall(ask)))) {
      // Until the server has said more, there is what it said last.
      offerAll(next.asks.map((ask) => names.guess(ask)));
      const ending = new AbortController();
      const { signal } = ending;
      asking.current = ending;
      const timer = setTimeout(() => {
        Promise.all(next.asks.map((ask) => names.find(ask, signal))).then(
          (answers) => signal.aborted || offerAll(answers),
          () => {},
        );
      }, pause);
      signal.addEventListener('abort', () => clearTimeout(timer));
    }
  };
  const close = (): void => {
    asking.current?.abort();
    found.value = null;
    active.value = -1;
  };
  const take = ({ from, to }: Completion, offer: Offer): void => {
    const { current } = field;
    current!.setRangeText(offer.text, from, to);
    current!.setSelectionRange(from + offer.caret, from + offer.caret);
    onInput(current!.value);
    // A label is followed by its values.
    show(0);
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
        show(0, key === 'ArrowDown' && !event.altKey);
      } else if (!event.altKey) {
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
  useEffect(() => () => asking.current?.abort(), []);
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
        onBlur={close}
        onInput={({ currentTarget }) => {
          onInput(currentTarget.value);
          show(PAUSE_MS);
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
