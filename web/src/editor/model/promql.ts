/** PromQL in an editor: its language, and completion at the caret. */

import {
  type Completion,
  type CompletionContext,
  type CompletionResult,
  startCompletion,
} from '@codemirror/autocomplete';
import type { Extension } from '@codemirror/state';
import {
  LanguageType,
  newCompleteStrategy,
  type PrometheusClient,
  promQLLanguage,
} from '@prometheus-io/codemirror-promql';
import { labelText, write } from '../../client/protocol/selector.ts';
import { type Plan, plan } from './completion.ts';
import type { Ask, Names } from './names.ts';

export type Complete = (context: CompletionContext) => Promise<CompletionResult | null>;

/** The language of PromQL, which colours and completion go by. */
export const promql: Extension = promQLLanguage(LanguageType.PromQL);

/**
 * Completes metrics, labels and their values with those that the server has, of which it gives a
 * few at a time, and the functions, aggregations and modifiers of PromQL. `meant` fills variables
 * into the selectors that the server is asked about.
 */
export function completing(names: Names, meant: (select: string) => string): Complete {
  return async (context) => {
    const { state, pos } = context;
    const text = state.doc.toString();
    const ending = new AbortController();
    context.addEventListener('abort', () => ending.abort());
    try {
      const span = selectorAt(text, pos) ?? dottedAt(text, pos);
      return span === null
        ? await ofExpression(context, names, ending.signal)
        : await ofSelector(text, pos, span, names, meant, ending.signal);
    } catch (error) {
      if (ending.signal.aborted) {
        return null;
      }
      throw error;
    }
  };
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * The selector within whose braces a position is, with the text that belongs to it; null if the
 * position is in none.
 */
export function selectorAt(text: string, pos: number): Span | null {
  let quote = '';
  let brace = -1;
  for (let at = 0; at < pos; at += 1) {
    const character = text[at]!;
    if (quote !== '') {
      if (character === '\\' && quote !== '`') {
        at += 1;
      } else if (character === quote) {
        quote = '';
      }
    } else if ('"\'`'.includes(character)) {
      quote = character;
    } else if (character === '#') {
      const end = text.indexOf('\n', at);
      at = end < 0 ? pos : end;
    } else if (character === '{') {
      brace = at;
    } else if (character === '}') {
      brace = -1;
    }
  }
  if (brace < 0) {
    return null;
  }
  const from = brace - /[a-zA-Z_:][\w:]*\s*$|$/.exec(text.slice(0, brace))![0].length;
  // If the value isn't closed yet, only a closing brace right behind the position belongs to it.
  const rest = text.slice(pos);
  const quotes = rest.replace(/\\./g, '').match(/"/g) ?? [];
  const closed = quote === '' || quotes.length % 2 === 1;
  const to = closed ? text.length : pos + /^(?:\s*\})?/.exec(rest)![0].length;
  return { from, to };
}

/**
 * A name with dots before a position; the parser of PromQL takes it as one name only if it is
 * quoted.
 */
function dottedAt(text: string, pos: number): Span | null {
  const [name] =
    /(?:^|[^\w:.])([a-zA-Z_][\w:]*\.[\w:.]*)$/.exec(text.slice(0, pos))?.slice(1) ?? [];
  return name === undefined ? null : { from: pos - name.length, to: pos };
}

async function ofSelector(
  text: string,
  pos: number,
  { from, to }: Span,
  names: Names,
  meant: (select: string) => string,
  signal: AbortSignal,
): Promise<CompletionResult | null> {
  const planned: Plan | null = plan(text.slice(from, to), pos - from);
  if (planned === null) {
    return null;
  }
  const fill = (ask: Ask): Ask =>
    ask.select === null ? ask : { ...ask, select: meant(ask.select) };
  const found = await Promise.all(planned.asks.map((ask) => names.find(fill(ask), signal)));
  const completion = planned.complete(found);
  if (completion === null) {
    return null;
  }
  const span = { from: from + completion.from, to: from + completion.to };
  const written = text.slice(span.from, span.to);
  // The completion is written there already.
  if (completion.offers.every((offer) => offer.text === written)) {
    return null;
  }
  const options = completion.offers.map(
    (offer): Completion => ({
      label: offer.title,
      apply: (view, _, start, end) => {
        view.dispatch({
          changes: { from: start, to: end, insert: offer.text },
          selection: { anchor: start + offer.caret },
          userEvent: 'input.complete',
        });
        // After a label, its values are offered.
        if (offer.text.endsWith('="')) {
          startCompletion(view);
        }
      },
    }),
  );
  return { ...span, options, filter: false };
}

async function ofExpression(
  context: CompletionContext,
  names: Names,
  signal: AbortSignal,
): Promise<CompletionResult | null> {
  const metrics = new Set<string>();
  const labels = new Set<string>();
  const { state, pos } = context;
  const [written] = /[\w:]*$/.exec(state.sliceDoc(0, pos))!;
  const keep = (these: readonly string[], kept: Set<string>): string[] => {
    for (const name of these) {
      kept.add(name);
    }
    return [...these];
  };
  const client: PrometheusClient = {
    metricNames: async () =>
      keep(await names.find({ label: '__name__', select: null, search: written }, signal), metrics),
    labelNames: async () =>
      keep(
        (await names.find({ label: null, select: null, search: written }, signal)).filter(
          (label) => label !== '__name__',
        ),
        labels,
      ),
    // Values and matchers only occur within selectors, which `ofSelector` completes.
    labelValues: async () => [],
    series: async () => [],
    metricMetadata: async () => ({}),
    flags: async () => ({}),
  };
  const result = await newCompleteStrategy({ remote: client }).promQL(context);
  const there = state.sliceDoc(result?.from, result?.to ?? pos);
  const done = result?.options.every(({ label }) => label === there);
  if (result === null || done || (written === '' && !context.explicit && result.from === pos)) {
    return null;
  }
  return {
    ...result,
    options: result.options.map((option) => {
      const apply = metrics.has(option.label)
        ? write(option.label, {})
        : labels.has(option.label)
          ? labelText(option.label)
          : option.label;
      return apply === option.label ? option : { ...option, apply };
    }),
    // The server gives a few names at a time: when more is typed, others may fit.
    validFor: () => false,
  };
}
