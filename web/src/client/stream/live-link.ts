/** The link that delivers, and the messages that change what it shows. */

import type { End, Link, Request, Transport } from '../links/transport.ts';
import type { Document } from '../protocol/documents.ts';
import { Backfill } from './backfill.ts';
import type { DesiredQuery } from './desired-query.ts';

/** Milliseconds between two messages on a link. */
const TELL_MS = 100;

/** The stream that a live link belongs to. */
export interface LinkOwner {
  readonly desired: DesiredQuery;
  readonly poller: Transport;
  readonly random: () => number;
  /** A request for the history of the selectors that are missing now. */
  missingRequest(): () => Request;
  /** The newest cursor. */
  cursor(): string | null;
  /** What comes next for these selectors may repeat what has come. */
  again(selectors: readonly string[]): void;
  deliver(document: Document): void;
  /**
   * The history of `selectors` has come up to the cursor `id`; it was asked for at the cursor
   * `since`.
   */
  filled(selectors: readonly string[], since: string | null, id: string | undefined): void;
  /** The server refuses these selectors. */
  leaveOut(selectors: readonly string[], end: End): void;
  /** Open another link in the place of this one. */
  reopen(): void;
}

export class LiveLink {
  readonly transport: Transport;
  readonly since = Date.now();
  heardAt = this.since;
  /** The selectors that the server was last told to show. */
  shown: readonly string[];
  readonly #link: Link;
  readonly #owner: LinkOwner;
  readonly #backfill: Backfill;
  /** Names this stream to the server; null until its `hello`. */
  #session: string | null = null;
  /** Answers to `watch` that have not come, including to one that is about to be sent. */
  #unanswered = 0;
  /** When the last one was sent. */
  #sentAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #send: () => void = () => {};
  #stopped = false;

  constructor(transport: Transport, link: Link, owner: LinkOwner) {
    this.transport = transport;
    this.#link = link;
    this.#owner = owner;
    this.shown = owner.desired.shown;
    this.#backfill = new Backfill(owner.poller, owner.random);
  }

  /** Whether it has had its first `hello`. */
  get greeted(): boolean {
    return this.#session !== null;
  }

  /** Whether a cursor that comes now covers all that is wanted. */
  get settled(): boolean {
    return this.#session !== null && this.#unanswered === 0 && !this.#backfill.busy;
  }

  /** A `hello` came: the first one, or the answer to a `watch`. Tells whether it was the first. */
  greet(session: string): boolean {
    if (this.#session !== null) {
      this.#answered();
      return false;
    }
    this.#session = session;
    return true;
  }

  /**
   * Tell it what is wanted. A link that can't be told asks for that with its next poll; only the
   * history of added selectors, which begins at a cursor of its own, is fetched beside it.
   */
  tell(): void {
    const { watch } = this.#link;
    const { desired } = this.#owner;
    const session = this.#session;
    if (watch === undefined) {
      if (desired.missing.length > 0) {
        this.#fill();
      }
      return;
    }
    if (session === null || this.#timer !== undefined || this.#backfill.busy) {
      return; // its hello, the message that is about to be sent, or the next link includes it
    }
    this.#unanswered += 1;
    // A page may change its mind a hundred times in a row: the server must not take that for a
    // flood.
    const wait = this.#sentAt + TELL_MS - Date.now();
    this.#send = () => {
      const message = desired.watch();
      this.#sentAt = Date.now();
      this.shown = message.select ?? [];
      void watch(message, session).then((end) => this.#answer(end));
    };
    this.#timer = setTimeout(() => this.flush(), Math.max(0, wait));
    if (wait <= 0) {
      this.flush();
    }
  }

  /** Send at once what is about to be sent. */
  flush(): void {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#send();
    }
  }

  /** It has ended: send nothing more, and ask for nothing beside it. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#backfill.close();
  }

  /** Let go of it. */
  close(): void {
    this.stop();
    this.#link.close();
  }

  #answered(): void {
    this.#unanswered = Math.max(0, this.#unanswered - 1);
  }

  /** An answer to `watch`: why it is refused, or null. The stream goes on as it was. */
  #answer(end: End | null): void {
    if (end === null || this.#stopped) {
      return;
    }
    this.#answered();
    const { desired } = this.#owner;
    const { missing } = desired;
    if (missing.length > 0) {
      if (end.advice === 'never' && end.unauthorized !== true) {
        this.#owner.leaveOut(missing, end);
      } else {
        // The request came to another server than this stream is at.
        this.#fill();
      }
    } else if (end.unusable) {
      this.#owner.reopen();
    }
  }

  /** Fetch the history of added selectors beside a link that can't be told of them. */
  #fill(): void {
    const owner = this.#owner;
    if (this.#backfill.busy) {
      return; // the next link includes it
    }
    if (owner.desired.coversNothing) {
      owner.reopen();
      return;
    }
    this.#backfill.fetch(() => {
      const { missing } = owner.desired;
      const since = owner.cursor();
      return {
        request: owner.missingRequest(),
        came: (documents, id) => {
          owner.again(missing);
          for (const { series = [], points, ended } of documents) {
            // Without its cursor, which is that of these selectors alone.
            const endings = ended === undefined ? {} : { ended };
            owner.deliver({ type: 'points', series, points, ...endings });
          }
          if (!this.#stopped) {
            owner.filled(missing, since, id);
          }
        },
        refused: (end) => owner.leaveOut(missing, end),
      };
    });
  }
}
