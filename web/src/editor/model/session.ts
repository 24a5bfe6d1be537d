/** One sitting of editing: the draft, under which name and version it is kept, and what was said. */

import { type Signal, signal } from '@preact/signals';
import { type Kept, type Loaded, load } from '../../dashboards/model.ts';
import { Draft } from './draft.ts';
import { remove, save } from './keeping.ts';
import { read } from './reading.ts';

export const EMPTY: Kept = { title: 'New dashboard', panels: [] };

/** What somebody is asked. */
export type Open =
  | { readonly form: 'panel'; readonly id: string | null }
  | { readonly form: 'settings' | 'conflict' | 'delete' | 'leave' }
  | { readonly form: 'name'; readonly reason: string };

export class Session {
  readonly draft: Draft;
  readonly opened: Signal<Open | null> = signal(null);
  /** For those who listen. */
  readonly said = signal('');
  readonly failure = signal('');
  readonly saving = signal(false);
  /** Of the version that it began with, or saved last; null where there is none of this name. */
  readonly etag: Signal<string | null>;
  readonly name: Signal<string>;
  /** Whether saving goes there, without asking where. */
  readonly named: Signal<boolean>;
  private readonly origin: URL;

  /** `owned` says whether what was loaded may be replaced; else it is saved under another name. */
  constructor(origin: URL, name: string, loaded: Loaded | null, owned: boolean) {
    this.origin = origin;
    this.draft = new Draft(loaded?.kept ?? EMPTY, loaded !== null);
    this.name = signal(name);
    this.etag = signal((owned && loaded?.etag) || null);
    this.named = signal(loaded !== null && owned);
  }

  /** Whether something would be lost by leaving: what nobody has touched isn't worth a question. */
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

  /** Save under the name it has, or ask for one. True when it is kept. */
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

  /** Save under another name, where there is nothing yet. True when it is kept. */
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

  /** Save over what somebody else has saved meanwhile. */
  async overwrite(): Promise<void> {
    this.opened.value = null;
    const theirs = await load(this.origin, this.name.peek()).catch(() => null);
    this.etag.value = theirs?.etag ?? null;
    await this.keep();
  }

  /** Go on with what somebody else has saved meanwhile. */
  async takeTheirs(): Promise<void> {
    this.opened.value = null;
    try {
      const theirs = await load(this.origin, this.name.peek());
      this.draft.replace(theirs.kept);
      this.etag.value = theirs.etag;
      this.said.value = 'This is what was saved meanwhile; your own is one step back';
    } catch (error) {
      this.failure.value = (error as Error).message;
    }
  }

  /** Delete what is kept. True when it is gone. */
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

  /** Nothing of it is worth a question any more. */
  discard(): void {
    this.draft.written(this.draft.current.peek());
  }

  /** Take in a dashboard from a file. */
  async takeFile(file: File): Promise<void> {
    try {
      this.draft.change(read(await file.text()));
      this.failure.value = '';
      this.said.value = `Took in ${file.name}; it isn’t saved yet`;
    } catch (error) {
      this.failure.value = `${file.name} is no dashboard: ${(error as Error).message}.`;
    }
  }
}
