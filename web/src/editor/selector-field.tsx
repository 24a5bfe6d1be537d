import './style/query.css';
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useId, useMemo, useRef } from 'preact/hooks';
import { isSelector } from '../client/protocol/selector.ts';
import { printable } from '../format/printable.ts';
import { CodeField } from './code-field.tsx';
import { Combobox } from './combobox.tsx';
import { check, isDrawable, type Verdict } from './model/checking.ts';
import { type Plan, plan } from './model/completion.ts';
import type { Ask, Names } from './model/names.ts';
import { completing } from './model/promql.ts';

/** After the last key, when somebody is taken to have stopped writing. */
const PAUSE_MS = 250;

/** The selectors of a form, which is not taken before all of them can be read. */
export class Selectors {
  readonly #fields = new Set<() => Promise<HTMLElement | null>>();

  /** Have a field asked, which answers itself if it can't be taken. Returns what takes that back. */
  add(field: () => Promise<HTMLElement | null>): () => void {
    this.#fields.add(field);
    return () => this.#fields.delete(field);
  }

  /** Whether all can be taken; else the first that can't has the focus, and says why. */
  async pass(): Promise<boolean> {
    const [wrong] = (await Promise.all([...this.#fields].map((field) => field()))).filter(
      (field) => field !== null,
    );
    wrong?.focus();
    return wrong === undefined;
  }
}

interface SelectorFieldProps {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly selectors: Selectors;
  readonly names: Names;
  /** What is asked about is the text with this done to it: variables filled in. */
  readonly meant?: (selector: string) => string;
  readonly verdict?: Signal<Verdict | null>;
  /** Whether it may be an expression, too. */
  readonly expressions?: boolean;
  /** How much time the rate of a counter is taken over, as `rate` takes it. */
  readonly window?: string;
  /** Whether it has the focus from the beginning, with the caret at its end. */
  readonly focused?: boolean;
  /** Called with what is asked about once the server can read it. */
  readonly onRead?: (query: string) => void;
}

/** A selector that is being written, with what it means, or what is wrong with it and where. */
export function SelectorField(props: SelectorFieldProps) {
  const { label, value, onInput, selectors, names, meant = String, expressions = false } = props;
  const own = useSignal<Verdict | null>(null);
  const verdict = props.verdict ?? own;
  const field = useRef<HTMLElement>(null);
  const told = useId();
  /** As of this rendering, for those that are called later. */
  const now = useRef({ value, meant });
  now.current = { value, meant };

  const ask = async (signal?: AbortSignal): Promise<Verdict> => {
    const { value: text, meant: fill } = now.current;
    const origin = new URL(document.baseURI);
    const full = await check(origin, fill(text), signal);
    // The place is one in what was written.
    return full.type === 'wrong' && fill(text) !== text
      ? await check(origin, text, signal).then((plain) =>
          plain.type === 'wrong' ? plain : { ...full, text, at: null },
        )
      : full;
  };
  const complete = useMemo(() => completing(names, (select) => now.current.meant(select)), [names]);
  const filled = meant(value);
  useEffect(() => {
    if (value.trim() === '') {
      verdict.value = null;
      return;
    }
    const ending = new AbortController();
    const timer = setTimeout(() => {
      ask(ending.signal).then(
        (found) => {
          verdict.value = found;
          if (canBeRead(found)) {
            props.onRead?.(filled);
          }
        },
        () => {},
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      ending.abort();
    };
  }, [filled]);
  useEffect(
    () =>
      selectors.add(async () => {
        const found = await ask();
        verdict.value = found;
        const taken =
          canBeRead(found) || (found.type === 'untold' && isDrawable(now.current.value));
        return taken ? null : field.current;
      }),
    [],
  );

  // Until there is another, the last answer stands: nothing flickers under somebody's fingers.
  const said = verdict.value;
  const wrong = said?.type === 'wrong' ? said : null;
  const common = {
    label,
    value,
    onInput,
    field,
    placeholder: expressions
      ? 'sum by (job) (rate(http_requests_total[1m]))'
      : 'http_requests_total{job="api"}',
    maxLength: 4096,
    describedBy: told,
    invalid: wrong !== null,
  };
  return (
    <div class="selector">
      {expressions ? (
        <CodeField
          {...common}
          complete={complete}
          wrongAt={wrong?.at ?? null}
          focused={props.focused ?? false}
        />
      ) : (
        <Combobox
          {...common}
          plan={(text, caret) => planned(plan(text, caret), meant)}
          names={names}
        />
      )}
      <p id={told} class={wrong === null ? 'remark' : 'failure'} role="status">
        {value.trim() === '' ? (
          expressions ? (
            'A metric’s name, with matchers for labels, or any expression in PromQL.'
          ) : (
            'A metric’s name, with matchers for labels if some series are wanted only.'
          )
        ) : wrong !== null ? (
          <Place {...wrong} />
        ) : (
          meaning(said, filled)
        )}
      </p>
      {props.window !== undefined && isCounted(said, filled) && (
        <button
          type="button"
          class="offer"
          onClick={() => {
            onInput(`rate(${value.trim()}[${props.window}])`);
            field.current?.focus();
          }}
        >
          Ask for the change per second, as an expression
        </button>
      )}
    </div>
  );
}

/** The same, asked with variables filled in. */
function planned(plan: Plan | null, meant: (selector: string) => string): Plan | null {
  const fill = (ask: Ask): Ask =>
    ask.select === null ? ask : { ...ask, select: meant(ask.select) };
  return plan && { ...plan, asks: plan.asks.map(fill) };
}

/** What is wrong, and where: in words, and to look at. */
function Place({ text, reason, at }: { text: string; reason: string; at: number | null }) {
  const sentence = `${reason.slice(0, 1).toUpperCase()}${reason.slice(1)}`;
  if (at === null) {
    return `This can’t be read: ${reason}.`;
  }
  const [there = ''] = text.slice(at);
  const place = there === '' ? 'at the end' : `at character ${[...text.slice(0, at)].length + 1}`;
  return (
    <>
      This can’t be read {place}. {sentence}.
      <code class="place" aria-hidden="true">
        {printable(text.slice(Math.max(0, at - 30), at))}
        <mark>{there === '' ? '\u2003' : printable(there)}</mark>
        {printable(text.slice(at + there.length, at + 30))}
      </code>
    </>
  );
}

/** Whether it selects counters, and nothing else. */
function isCounted(verdict: Verdict | null, selector: string): boolean {
  return (
    verdict?.type === 'read' &&
    isSelector(selector) &&
    verdict.series.length > 0 &&
    verdict.series.every(({ kind }) => kind === 'counter')
  );
}

/** Whether a stream takes it, though maybe without a result now. */
export function canBeRead({ type }: Verdict): boolean {
  return type === 'read' || type === 'failing';
}

function meaning(verdict: Verdict | null, selector: string): string {
  if (verdict === null || verdict.type === 'wrong') {
    return 'Asking the server…';
  }
  if (verdict.type !== 'read') {
    const what = verdict.type === 'failing' ? 'It has no result' : 'What it means can’t be told';
    return `${what} now: ${verdict.reason}.`;
  }
  const { total: count } = verdict;
  if (!isSelector(selector)) {
    return count === 0
      ? 'It has no result now.'
      : `${count} ${count === 1 ? 'result' : 'results'} now.`;
  }
  const found =
    count === 0 ? 'No series matches now' : `${count} series ${count === 1 ? 'matches' : 'match'}`;
  const help = verdict.series[0]?.help;
  const drawn = isDrawable(selector)
    ? ''
    : ' Only the server can tell which, so that this page draws none: write it in plainer terms.';
  return `${found}${help ? `: ${help.replace(/\.$/, '')}` : ''}.${drawn}`;
}
