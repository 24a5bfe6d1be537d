import type { Described } from '../store/series.ts';

/** After so long without an answer, all are asked for. */
const PATIENCE_MS = 3_000;

/** Which series there are, as the server last told. */
export class SeriesList {
  all: readonly Described[] = [];
  private readonly origin: URL;
  /** What the server calls that answer. */
  private tag: string | null = null;

  constructor(origin: URL) {
    this.origin = origin;
  }

  /** Fetch which series there are, unless they are the same; tells whether they may not be. */
  async fetch(): Promise<boolean> {
    const response = await fetch(new URL('v1/series?values=false', this.origin), {
      headers: {
        Accept: 'application/json',
        ...(this.tag !== null && { 'If-None-Match': this.tag }),
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
    this.tag = response.headers.get('ETag');
    return true;
  }
}
