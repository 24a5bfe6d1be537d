/** Names of metrics and labels, and values of labels, from the server, a few at a time. */

/** A question for names that contain `search`. */
export interface Ask {
  /** The label whose values are wanted; null for the names of labels. */
  readonly label: string | null;
  /** Only of the series of this selector; null for all. */
  readonly select: string | null;
  readonly search: string;
}

interface Found {
  readonly search: string;
  readonly names: readonly string[];
  /** Whether these are all. */
  readonly whole: boolean;
  readonly at: number;
}

/** As many as are offered, and one more for `__name__`. */
const MOST = 51;
/** Milliseconds for which an answer is used again. */
const FRESH_MS = 30_000;

export class Names {
  readonly #origin: URL;
  /** The last answer to each question, whatever was searched for. */
  readonly #found = new Map<string, Found>();

  constructor(origin: URL) {
    this.#origin = origin;
  }

  /** The answer, if earlier answers tell it; null if the server has to be asked. */
  recall(ask: Ask): readonly string[] | null {
    const found = this.#found.get(keyOf(ask));
    if (found === undefined || Date.now() - found.at > FRESH_MS) {
      return null;
    }
    const [now, before] = [ask.search.toLowerCase(), found.search.toLowerCase()];
    return now === before || (found.whole && now.includes(before)) ? found.names : null;
  }

  /** The last answer, to offer until a new one comes; null for none. */
  guess(ask: Ask): readonly string[] | null {
    return this.#found.get(keyOf(ask))?.names ?? null;
  }

  /** Ask the server; gives no names if it has no answer. Rejects only if it is aborted. */
  async find(ask: Ask, signal: AbortSignal): Promise<readonly string[]> {
    const known = this.recall(ask);
    if (known !== null) {
      return known;
    }
    let answer = await this.#get(ask, signal);
    if (answer === null && ask.select !== null) {
      // The text before the caret may not be a selector yet.
      answer = await this.#get({ ...ask, select: null }, signal);
    }
    if (answer === null) {
      return [];
    }
    const { names, total } = answer;
    const whole = names.length === total;
    this.#found.set(keyOf(ask), { search: ask.search, names, whole, at: Date.now() });
    return names;
  }

  async #get({ label, select, search }: Ask, signal: AbortSignal) {
    const url = new URL(label === null ? 'v1/label_names' : 'v1/label_values', this.#origin);
    const { searchParams } = url;
    searchParams.set('limit', String(MOST));
    if (label !== null) {
      searchParams.set('label', label);
    }
    if (select !== null) {
      searchParams.set('select', select);
    }
    if (search !== '') {
      searchParams.set('search', search);
    }
    try {
      const response = await fetch(url, { headers: { Accept: 'application/json' }, signal });
      const answer = (await response.json()) as Answer;
      const names = answer.labels ?? answer.values;
      return names === undefined ? null : { names, total: answer.total ?? names.length };
    } catch (error) {
      if (signal.aborted) {
        throw error;
      }
      return null;
    }
  }
}

interface Answer {
  readonly labels?: readonly string[];
  readonly values?: readonly string[];
  readonly total?: number;
}

function keyOf({ label, select }: Ask): string {
  return JSON.stringify([label, select]);
}
