/**
 * An editing session: the draft, the name and version it is saved under, and the open questions.
 */

import { type Signal, signal } from '@preact/signals';
import { type Kept, type Loaded, load } from '../../dashboards/model.ts';
import { Draft } from './draft.ts';
import { convert, type Imported, isForeign } from './importing.ts';
import { remove, save } from './keeping.ts';
import { read } from './reading.ts';

export const EMPTY: Kept = { title: 'New dashboard', panels: [] };

/** A question to the person who edits. */
export type Open =
  | { readonly form: 'panel'; readonly id: string | null }
  | { readonly form: 'settings' | 'conflict' | 'delete' | 'leave' }
  | { readonly form: 'name'; readonly reason: string }
  | { readonly form: 'imported'; readonly file: string; readonly imported: Imported };

export class Session {
  readonly draft: Draft;
  readonly opened: Signal<Open | null> = signal(null);
  /** Announced by screen readers. */
  readonly said = signal('');
  readonly failure = signal('');
  readonly saving = signal(false);
  /** The version that it began with or was saved as last; null if there is none of this name. */
  readonly etag: Signal<string | null>;
  readonly name: Signal<string>;
  /** Whether it is saved under its name without asking. */
  readonly named: Signal<boolean>;
  readonly #origin: URL;

  /**
   * `owned` says whether the loaded dashboard may be replaced; else it is saved under another name.
   */
  constructor(origin: URL, name: string, loaded: Loaded | null, owned: boolean) {
    this.#origin = origin;
    this.draft = new Draft(loaded?.kept ?? EMPTY, loaded !== null);
    this.name = signal(name);
    this.etag = signal((owned && loaded?.etag) || null);
    this.named = signal(loaded !== null && owned);
  }

  /** Whether leaving would lose changes. */
  get unsaved(): boolean {
    const { dirty, undoable } = this.draft;
    return dirty.peek() && (this.named.peek() || undoable.peek());
  }

  undo(): void {
    if (this.draft.undoable.peek()) {
      this.draft.undo();
      this.said.value = 'Taken back';
    }
  }

  redo(): void {
    if (this.draft.redoable.peek()) {
      this.draft.redo();
      this.said.value = 'Done again';
    }
  }

  /** Save under its name, or ask for one. True if it was saved. */
  async keep(): Promise<boolean> {
    if (this.saving.peek()) {
      return false;
    }
    if (!this.named.peek()) {
      this.opened.value = { form: 'name', reason: '' };
      return false;
    }
    const written = this.draft.current.peek();
    this.saving.value = true;
    const outcome = await save(this.name.peek(), written, this.etag.peek());
    this.saving.value = false;
    this.failure.value = outcome.type === 'refused' ? `Not saved: ${outcome.reason}.` : '';
    if (outcome.type === 'conflict') {
      this.opened.value = { form: 'conflict' };
    }
    if (outcome.type !== 'saved') {
      return false;
    }
    this.etag.value = outcome.etag;
    this.draft.written(written);
    this.said.value = `Saved as ${this.name.peek()}`;
    return true;
  }

  /** Save under another name that isn't in use. True if it was saved. */
  async keepAs(name: string): Promise<boolean> {
    const written = this.draft.current.peek();
    this.saving.value = true;
    const outcome = await save(name, written, null);
    this.saving.value = false;
    if (outcome.type !== 'saved') {
      this.opened.value = {
        form: 'name',
        reason:
          outcome.type === 'conflict'
            ? `There is a dashboard ${name} already.`
            : `Not saved: ${outcome.reason}.`,
      };
      return false;
    }
    this.name.value = name;
    this.etag.value = outcome.etag;
    this.named.value = true;
    this.failure.value = '';
    this.draft.written(written);
    this.said.value = `Saved as ${name}`;
    this.opened.value = null;
    return true;
  }

  /** Overwrite what somebody else has saved meanwhile. */
  async overwrite(): Promise<void> {
    this.opened.value = null;
    const theirs = await load(this.#origin, this.name.peek()).catch(() => null);
    this.etag.value = theirs?.etag ?? null;
    await this.keep();
  }

  /** Continue with what somebody else has saved meanwhile. */
  async takeTheirs(): Promise<void> {
    this.opened.value = null;
    try {
      const theirs = await load(this.#origin, this.name.peek());
      this.draft.replace(theirs.kept);
      this.etag.value = theirs.etag;
      this.said.value = 'This is what was saved meanwhile; your own is one step back';
    } catch (error) {
      this.failure.value = (error as Error).message;
    }
  }

  /** Delete the saved dashboard. True if it was deleted. */
  async dispose(): Promise<boolean> {
    this.opened.value = null;
    const outcome = await remove(this.name.peek(), this.etag.peek()!);
    if (outcome.type === 'saved') {
      this.discard();
      return true;
    }
    this.failure.value =
      outcome.type === 'conflict'
        ? 'Not deleted: somebody else has saved it meanwhile.'
        : `Not deleted: ${outcome.reason}.`;
    return false;
  }

  /** Leave without a question, whatever was changed. */
  discard(): void {
    this.draft.written(this.draft.current.peek());
  }

  /**
   * Take in a dashboard from a file: one of ours at once, one of Grafana's after it was said what is
   * left out of it.
   */
  async takeFile(file: File): Promise<void> {
    try {
      const text = await file.text();
      if (isForeign(text)) {
        this.opened.value = { form: 'imported', file: file.name, imported: await convert(text) };
        this.failure.value = '';
      } else {
        this.take(read(text), file.name);
      }
    } catch (error) {
      this.failure.value = `${file.name} is no dashboard: ${(error as Error).message}.`;
    }
  }

  /** Go on with what came of a file. */
  take(kept: Kept, file: string): void {
    this.opened.value = null;
    this.draft.change(kept);
    this.failure.value = '';
    this.said.value = `Took in ${file}; it isn’t saved yet`;
  }
}
