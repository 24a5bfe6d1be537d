import './style/form.css';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { NAME_PATTERN } from './model/keeping.ts';

interface DialogProps {
  readonly title: string;
  readonly children: ComponentChildren;
  readonly onClose: () => void;
  readonly wide?: boolean;
}

/** A dialog that is open as long as it is rendered; Escape closes it. */
export function Dialog({ title, children, onClose, wide = false }: DialogProps) {
  const heading = useId();
  const root = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const { current } = root;
    const before = document.activeElement as HTMLElement | null;
    current!.showModal();
    return () => {
      current!.close();
      // It is no longer in the document, and so can't return the focus itself.
      before?.focus();
    };
  }, []);
  return (
    <dialog
      ref={root}
      class={wide ? 'form wide' : 'form'}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <h3 id={heading}>{title}</h3>
      {children}
    </dialog>
  );
}

interface QuestionProps {
  readonly title: string;
  readonly text: string;
  readonly actions: readonly (readonly [title: string, act: () => void])[];
  readonly onClose: () => void;
}

/** A checkbox with its label. */
export function Question({ title, text, actions, onClose }: QuestionProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <div class="actions">
        <button type="button" onClick={onClose}>
          Keep editing
        </button>
        {actions.map(([name, act]) => (
          <button key={name} type="button" onClick={act}>
            {name}
          </button>
        ))}
      </div>
    </Dialog>
  );
}

interface AskingProps {
  readonly title: string;
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  /** Why the last answer wasn't accepted. */
  readonly reason: string;
  readonly action: string;
  readonly onDone: (answer: string) => void;
  readonly onClose: () => void;
}

/** Asks for a name. */
export function Asking({
  title,
  label,
  hint,
  value,
  reason,
  action,
  onDone,
  onClose,
}: AskingProps) {
  const field = useRef<HTMLInputElement>(null);
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onDone(field.current!.value);
        }}
      >
        <label>
          {label}
          <input
            ref={field}
            type="text"
            required
            pattern={NAME_PATTERN}
            title={hint}
            defaultValue={value}
            autocomplete="off"
            spellcheck={false}
          />
        </label>
        <p class="remark">{hint}</p>
        {reason !== '' && (
          <p class="failure" role="alert">
            {reason}
          </p>
        )}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="first">
            {action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
