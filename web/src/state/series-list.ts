import type { Described } from '../store/series.ts';

/** Milliseconds that the answer may take. */
const PATIENCE_MS = 3_000;

/** The list of all series, as the server last sent it. */
export class SeriesList {
  all: readonly Described[] = [];
  readonly #origin: URL;
  /** The ETag of that answer. */
  #tag: string | null = null;

  constructor(origin: URL) {
    this.#origin = origin;
  }

  /** Fetch the list. False if it has not changed. */
  async fetch(): Promise<boolean> {
    const response = await fetch(new URL('v1/series?values=false', this.#origin), {
      headers: {
        Accept: 'application/json',
        ...(this.#tag !== null && { 'If-None-Match': this.#tag }),
      },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (response.status === 304) {
      return false;
    }
    const answer: { series?: readonly Described[] } = await response.json();
    if (answer.series === undefined) {
      throw new Error(`the server answered ${response.status}`);
    }
    this.all = answer.series;
    this.#tag = response.headers.get('ETag');
    return true;
  }
}
