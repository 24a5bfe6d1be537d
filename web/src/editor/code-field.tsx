import {
  autocompletion,
  completionKeymap,
  completionStatus,
  selectedCompletionIndex,
  startCompletion,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import {
  Annotation,
  Compartment,
  EditorState,
  Prec,
  StateEffect,
  StateField,
} from '@codemirror/state';
import {
  Decoration,
  type DecorationSet,
  EditorView,
  highlightSpecialChars,
  keymap,
  placeholder as placeheld,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { Ref } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import looks from './code.css?inline';
import { type Complete, promql } from './model/promql.ts';

export interface CodeFieldProps {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  /** Gives what may be written at the caret. */
  readonly complete: Complete;
  readonly field: Ref<HTMLElement>;
  /** The id of the element that says what the text means, or what is wrong with it. */
  readonly describedBy: string;
  /** The index of the character that can't be read; null if there is none. */
  readonly wrongAt: number | null;
  readonly invalid: boolean;
  readonly placeholder: string;
  readonly maxLength: number;
  /** Whether it has the focus from the beginning, with the caret at its end. */
  readonly focused: boolean;
}

/** Milliseconds after the last key until the server is asked. */
const PAUSE_MS = 120;

/** Marks a change that wasn't typed here: the value was set from outside. */
const set = Annotation.define<boolean>();
const setWrong = StateEffect.define<number | null>();
const mark = Decoration.mark({ class: 'cm-wrong' });

/** The place that the server can't read. It moves along when text before it changes. */
const wrong = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update: (marks, { changes, effects, newDoc: { length } }) => {
    let next = marks.map(changes);
    for (const effect of effects) {
      if (effect.is(setWrong)) {
        const at = effect.value === null ? null : Math.min(effect.value, length - 1);
        next = at === null || at < 0 ? Decoration.none : Decoration.set(mark.range(at, at + 1));
      }
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const colours = syntaxHighlighting(
  HighlightStyle.define([
    {
      tag: [tags.keyword, tags.modifier, tags.function(tags.variableName)],
      color: 'var(--accent)',
    },
    { tag: tags.string, color: 'var(--good)' },
    { tag: tags.number, color: 'var(--warn)' },
    { tag: tags.comment, color: 'var(--soft)', fontStyle: 'italic' },
  ]),
);

/**
 * The styles of the shadow tree. The page's Content-Security-Policy allows a constructed style
 * sheet.
 */
const sheet = new CSSStyleSheet();
sheet.replaceSync(looks);

/**
 * Handles text that is typed over selected text. The browser itself would keep the look of that
 * text by an inline style, which the page's Content-Security-Policy doesn't allow.
 */
const writtenOver = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const { data, inputType } = event;
    if (inputType !== 'insertText' || data === null || view.state.selection.main.empty) {
      return false;
    }
    view.dispatch(view.state.replaceSelection(data), {
      userEvent: 'input.type',
      scrollIntoView: true,
    });
    return true;
  },
});

/**
 * A field for PromQL: coloured, with completion. Tab leaves it, Enter sends the form, Shift and
 * Enter begin another line, and Escape closes the list of completions.
 */
export function CodeField(props: CodeFieldProps) {
  const { label, value, describedBy, wrongAt, invalid } = props;
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorView | null>(null);
  const attributes = useRef(new Compartment());
  /** The props of the newest rendering, for functions that are called later. */
  const now = useRef(props);
  now.current = props;
  /** Texts that were given to `onInput` and haven't come back as the value yet. */
  const given = useRef<string[]>([]);
  /** The value that came last. */
  const come = useRef(value);
  const said = { 'aria-label': label, 'aria-invalid': String(invalid) };
  useLayoutEffect(() => {
    const { field, placeholder, maxLength } = now.current;
    const root = host.current!.attachShadow({ mode: 'open', delegatesFocus: true });
    root.adoptedStyleSheets = [sheet];
    const view = new EditorView({
      root,
      parent: root,
      doc: now.current.value,
      extensions: [
        promql,
        colours,
        wrong,
        history(),
        writtenOver,
        bracketMatching(),
        highlightSpecialChars(),
        placeheld(placeholder),
        EditorView.lineWrapping,
        attributes.current.of(EditorView.contentAttributes.of(said)),
        EditorView.contentAttributes.of({
          autocapitalize: 'off',
          spellcheck: 'false',
        }),
        EditorState.changeFilter.of(({ newDoc }) => newDoc.length <= maxLength),
        EditorView.updateListener.of(({ docChanged, state, transactions }) => {
          if (docChanged && !transactions.some((one) => one.annotation(set))) {
            const text = state.doc.toString();
            given.current.push(text);
            now.current.onInput(text);
          }
        }),
        autocompletion({
          override: [(context) => now.current.complete(context)],
          selectOnOpen: false,
          interactionDelay: 0,
          activateOnTypingDelay: PAUSE_MS,
          icons: false,
        }),
        Prec.high(keymap.of([...keys, ...completionKeymap])),
        keymap.of([...historyKeymap, ...defaultKeymap]),
      ],
    });
    // Otherwise this would get the focus of the field, as the first focusable element of the shadow
    // tree.
    view.scrollDOM.removeAttribute('tabindex');
    editor.current = view;
    if (typeof field === 'function') {
      field(view.contentDOM);
    } else if (field !== null) {
      field.current = view.contentDOM;
    }
    if (now.current.focused) {
      view.dispatch({ selection: { anchor: view.state.doc.length } });
      view.focus();
    }
    return () => view.destroy();
  }, []);
  useEffect(() => {
    const view = editor.current!;
    if (value === come.current) {
      return; // it has only just begun, and more may have been typed since
    }
    come.current = value;
    const { length } = view.state.doc;
    // If the value is one that was typed here, more may have been typed since.
    const at = given.current.lastIndexOf(value);
    given.current.splice(0, at < 0 ? Number.POSITIVE_INFINITY : at + 1);
    if (at < 0 && view.state.doc.toString() !== value) {
      view.dispatch({
        changes: { from: 0, to: length, insert: value },
        annotations: set.of(true),
      });
    }
  }, [value]);
  useEffect(() => {
    editor.current!.dispatch({ effects: setWrong.of(wrongAt) });
  }, [wrongAt]);
  useEffect(() => {
    editor.current!.dispatch({
      effects: attributes.current.reconfigure(EditorView.contentAttributes.of(said)),
    });
  }, [label, invalid]);
  useEffect(() => {
    // The description is outside of the shadow tree, so that an id can't refer to it.
    const description = document.getElementById(describedBy);
    if (description !== null) {
      editor.current!.contentDOM.ariaDescribedByElements = [description];
    }
  }, [describedBy]);
  return (
    <div class="code">
      <span aria-hidden="true" onClick={() => editor.current!.focus()}>
        {label}
      </span>
      <div ref={host} />
    </div>
  );
}

const keys = [
  {
    key: 'ArrowDown',
    // Opens the list of completions in the last line, where the key has no other meaning.
    run: (view: EditorView): boolean => {
      const { doc, selection } = view.state;
      const last = doc.lineAt(selection.main.head).number === doc.lines;
      return completionStatus(view.state) === null && last && startCompletion(view);
    },
  },
  {
    key: 'Enter',
    run: (view: EditorView): boolean => {
      if ((selectedCompletionIndex(view.state) ?? -1) >= 0) {
        return false; // it is taken
      }
      const { host } = view.root as ShadowRoot;
      host.closest('form')?.requestSubmit();
      return true;
    },
  },
];
