/** A token: as it stands, or as a function that fetches one. */
export type TokenSource = string | (() => string | Promise<string>);

const PATIENCE_MS = 30_000;

/**
 * Keeps the token that was last fetched. One that the server refuses is fetched again, once: a
 * second refusal in a row is the server's word.
 */
export class Credentials {
  readonly #source: TokenSource | null;
  #token: string | null;
  #renewed = false;

  constructor(source: TokenSource | null) {
    this.#source = source;
    this.#token = typeof source === 'string' ? source : null;
  }

  /** The token to ask with; null where none is needed. A promise only if it must be fetched. */
  get(): string | null | Promise<string> {
    if (this.#token !== null || typeof this.#source !== 'function') {
      return this.#token;
    }
    return this.#fetch(this.#source);
  }

  /** The token was refused. Tells whether there may be another. */
  refused(): boolean {
    if (typeof this.#source !== 'function' || this.#renewed) {
      return false;
    }
    this.#token = null;
    this.#renewed = true;
    return true;
  }

  /** The token has served for a while: when it is refused one day, another one may be fetched. */
  accepted(): void {
    this.#renewed = false;
  }

  /** Forget the token: the next one is fetched. */
  forget(): void {
    this.#token = typeof this.#source === 'string' ? this.#source : null;
    this.#renewed = false;
  }

  async #fetch(source: () => string | Promise<string>): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('fetching it took too long')), PATIENCE_MS);
    });
    try {
      this.#token = await Promise.race([source(), late]);
      return this.#token;
    } finally {
      clearTimeout(timer);
    }
  }
}
