/**
 * Fills variables into the queries and texts of a dashboard. A value is plain text: in a regular
 * expression it is quoted, and several values become alternatives.
 */

import { parseDuration } from '../client/protocol/duration.ts';
import type { Link, Panel } from '../panels/model.ts';
import { NOTHING } from './asking.ts';
import type { Kept, Variable } from './model.ts';

/** The values chosen for variables. */
export type Values = Readonly<Record<string, readonly string[]>>;

/** As a value of a variable: all of its values. */
export const ALL = '$__all';

/** What a variable stands for. */
interface Meaning {
  readonly values: readonly string[];
  /** The regular expression that is used instead of the values. */
  readonly regex?: string;
  readonly title: string;
}

export type Meanings = Readonly<Record<string, Meaning>>;

const SECOND = 1000;
/**
 * The time between two samples of a series, if the dashboard doesn't say; Grafana's default too.
 */
const INTERVAL = '15s';
/** Half of the points that a chart has at about. */
const HALF = 500;
/**
 * Seconds that are used as a step, as in Grafana: the nearest, not the next longer. The longest
 * window takes the last.
 */
const STEPS = [1, 2, 5, 10, 15, 20];

/**
 * What each variable stands for: the values that were chosen, or its initial ones. A variable whose
 * values aren't known yet is left out. `windowMs` is how much time is shown.
 */
export function meaningsOf(
  { variables = [], interval = INTERVAL }: Pick<Kept, 'variables' | 'interval'>,
  values: Values,
  windowMs: number,
): Meanings {
  const meanings: Record<string, Meaning> = { ...builtIn(interval, windowMs) };
  for (const variable of variables) {
    const chosen = chosenOf(variable, values);
    if (chosen !== undefined) {
      meanings[variable.name] = meaningOf(variable, chosen);
    }
  }
  return meanings;
}

/**
 * The values that a variable has one by one: those that were chosen, or, of all, those that are
 * known.
 */
export function singlesOf(
  variable: Variable,
  values: Values,
  known: Values,
): readonly string[] | undefined {
  const chosen = chosenOf(variable, values);
  return chosen?.includes(ALL) ? (variable.values ?? known[variable.name]) : chosen;
}

/** What variables stand for where some have one value. */
export function within(meanings: Meanings, scope: Readonly<Record<string, string>>): Meanings {
  const own = Object.entries(scope).map(([name, value]) => [
    name,
    { values: [value], title: value },
  ]);
  return { ...meanings, ...Object.fromEntries(own) };
}

/** The values that were chosen, or the initial ones; undefined if these aren't known yet. */
export function chosenOf(variable: Variable, values: Values): readonly string[] | undefined {
  return values[variable.name] ?? variable.default ?? variable.values?.slice(0, 1);
}

function meaningOf(variable: Variable, chosen: readonly string[]): Meaning {
  if (!chosen.includes(ALL)) {
    return { values: chosen, title: chosen.join(' + ') };
  }
  const { all_value, values } = variable;
  return all_value === undefined && values !== undefined
    ? { values, title: 'All' }
    : { values: [], regex: all_value ?? '.+', title: 'All' };
}

/** `$__interval` and the others, by Grafana's rules for Prometheus. */
function builtIn(interval: string, windowMs: number): Meanings {
  const every = seconds(interval);
  const range = Math.max(1, Math.round(windowMs / SECOND));
  const near = STEPS.findLast((one, at) => range >= HALF * (one + (STEPS[at - 1] ?? 0)));
  const step = Math.max(every, near ?? every);
  const rate = Math.max(step + every, 4 * every);
  const named = (text: string): Meaning => ({ values: [text], title: text });
  return {
    __interval: named(`${step}s`),
    __interval_ms: named(`${step * SECOND}`),
    __rate_interval: named(`${rate}s`),
    __rate_interval_ms: named(`${rate * SECOND}`),
    __range: named(`${range}s`),
    __range_s: named(`${range}`),
    __range_ms: named(`${range * SECOND}`),
  };
}

/** A duration in whole seconds, at least one. The service has checked it, but it may be zero. */
function seconds(duration: string): number {
  try {
    return Math.max(1, Math.round(parseDuration(duration.trim()) / SECOND));
  } catch {
    return 1;
  }
}

const REFERENCE = /\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/g;
/**
 * A text in quotes, with the operator before it if there is one, or a variable outside of quotes.
 */
const PART =
  /(?:(=~|!~|!=|=)(\s*))?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})/g;

/** The names of the variables that a text refers to. */
export function referencesIn(text: string): string[] {
  return [...text.matchAll(REFERENCE)].map(([, bare, braced]) => (bare ?? braced)!);
}

/** A selector or an expression with its variables filled in. */
export function fillIn(asked: string, meanings: Meanings): string {
  return asked.replace(PART, (whole, operator: string, space: string, quoted?: string) => {
    if (quoted === undefined) {
      return replaced(whole, meanings, ({ values, regex }) => regex ?? values.join(', '));
    }
    const used = referencesIn(quoted).filter((name) => meanings[name] !== undefined);
    if (used.length === 0) {
      return whole;
    }
    const text = inside(quoted);
    const literal = (filled: string): string => `${operator ?? ''}${space ?? ''}"${filled}"`;
    if (operator === undefined) {
      return literal(replaced(text, meanings, (one) => escaped(one.regex ?? one.values.join('|'))));
    }
    const single = used.every((name) => {
      const { values, regex } = meanings[name]!;
      return regex === undefined && values.length === 1;
    });
    if (single && !operator.endsWith('~')) {
      return literal(replaced(text, meanings, ({ values }) => escaped(values[0]!)));
    }
    const any = (meaning: Meaning): string => {
      const regex = meaning.regex ?? meaning.values.map(quotedInRegex).join('|');
      const alone = text.replace(REFERENCE, '') === '' && used.length === 1;
      return escaped(alone || !regex.includes('|') ? regex : `(?:${regex})`);
    };
    if (operator.endsWith('~')) {
      return literal(replaced(text, meanings, any));
    }
    // A matcher for one text becomes one for several.
    const filled = replaced(text, meanings, any, (rest) =>
      rest.replace(/\\.|[.*+?()[\]{}^$|]/gs, (one) =>
        one === '\\\\' ? '\\\\\\\\' : one.startsWith('\\') ? one : `\\\\${one}`,
      ),
    );
    return `${operator === '=' ? '=~' : '!~'}${space}"${filled}"`;
  });
}

/**
 * An address with its variables filled in, each value as text within it; of several as many
 * parameters, where a variable is one: `?var-host=$host`.
 */
export function fillUrl(url: string, meanings: Meanings): string {
  const coded = ({ values, regex, title }: Meaning): string[] =>
    (regex === undefined ? values : [title === 'All' ? ALL : regex]).map(encodeURIComponent);
  return url
    .replace(/([?&])([\w-]+)=\$(?:(\w+)|\{(\w+)\})(?=&|#|$)/g, (whole, sign, key, bare, braced) => {
      const meaning = meanings[bare ?? braced];
      const values = meaning && coded(meaning);
      return values?.length ? `${sign}${values.map((one) => `${key}=${one}`).join('&')}` : whole;
    })
    .replace(REFERENCE, (whole, bare, braced) => {
      const meaning = meanings[bare ?? braced];
      return meaning === undefined ? whole : coded(meaning).join(',');
    });
}

/** A title or a text with its variables filled in. */
export function fillText(text: string, meanings: Meanings): string {
  return replaced(text, meanings, ({ title }) => title);
}

/**
 * The panels with their variables filled in. A panel with a variable that has no value yet asks for
 * nothing.
 */
export function fillPanels(
  { panels, variables = [] }: Pick<Kept, 'panels' | 'variables'>,
  meanings: Meanings,
): readonly Panel[] {
  const open = new Set(
    variables.map(({ name }) => name).filter((name) => meanings[name] === undefined),
  );
  const filled = (select: string): string =>
    referencesIn(select).some((name) => open.has(name)) ? NOTHING : fillIn(select, meanings);
  const said = (text: string): string => fillText(text, meanings);
  const led = ({ title, url }: Link): Link => ({ title: said(title), url: fillUrl(url, meanings) });
  return panels.map((panel) => ({
    ...panel,
    ...(panel.title !== undefined && { title: said(panel.title) }),
    ...(panel.description !== undefined && { description: said(panel.description) }),
    ...(panel.text !== undefined && {
      text: replaced(panel.text, meanings, ({ title }) => asMarkdown(title)),
    }),
    ...(panel.legend !== undefined && { legend: said(panel.legend) }),
    ...(panel.links !== undefined && { links: panel.links.map(led) }),
    ...(panel.data_links !== undefined && { data_links: panel.data_links.map(led) }),
    ...(panel.lines !== undefined && {
      lines: panel.lines.map((line) => ({
        ...line,
        ...(line.name !== undefined && { name: said(line.name) }),
        ...(line.title !== undefined && { title: said(line.title) }),
      })),
    }),
    ...(panel.select !== undefined && { select: filled(panel.select) }),
    ...(panel.also !== undefined && {
      also: panel.also.map(({ select, legend }) => ({
        select: filled(select),
        ...(legend !== undefined && { legend: said(legend) }),
      })),
    }),
  }));
}

/**
 * A text in which each known variable is replaced by `by`, and the text between them by `between`.
 */
function replaced(
  text: string,
  meanings: Meanings,
  by: (meaning: Meaning) => string,
  between: (rest: string) => string = String,
): string {
  let filled = '';
  let from = 0;
  for (const match of text.matchAll(REFERENCE)) {
    const meaning = meanings[(match[1] ?? match[2])!];
    if (meaning !== undefined) {
      filled += between(text.slice(from, match.index)) + by(meaning);
      from = match.index + match[0].length;
    }
  }
  return filled + between(text.slice(from));
}

/** The content of a quoted text, escaped as it must be in double quotes. */
function inside(quoted: string): string {
  const text = quoted.slice(1, -1);
  switch (quoted[0]) {
    case '`':
      return escaped(text);
    case "'":
      return text.replace(/\\.|"/gs, (one) => (one === '"' ? '\\"' : one === "\\'" ? "'" : one));
    default:
      return text;
  }
}

/** A text as Markdown: it means just itself. */
function asMarkdown(text: string): string {
  return text.replace(/[\\`*[\]<>~|&]/g, '\\$&');
}

function escaped(text: string): string {
  return text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n');
}

/** A regular expression that matches just this text. */
export function quotedInRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
