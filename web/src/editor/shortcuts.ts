import { useEffect } from 'preact/hooks';
import type { Session } from './model/session.ts';

/** Keys that work wherever the focus is, and the question before unsaved changes are left. */
export function useShortcuts(session: Session): void {
  useEffect(() => {
    /** The form that has the focus, whose text may not be in the draft yet. */
    let form: HTMLDialogElement | null = null;
    const write = ({ target }: Event): void => {
      form = (target as Element).closest('dialog') ?? form;
    };
    const unload = (event: BeforeUnloadEvent): void => {
      if (session.unsaved || form?.open) {
        event.preventDefault();
      }
    };
    const press = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (!(event.ctrlKey || event.metaKey) || target.closest('dialog, input, textarea')) {
        return;
      }
      const key = event.key.toLowerCase();
      if (key === 's') {
        void session.keep();
      } else if (key === 'z' && !event.shiftKey) {
        session.undo();
      } else if (key === 'y' || key === 'z') {
        session.redo();
      } else {
        return;
      }
      event.preventDefault();
    };
    addEventListener('beforeunload', unload);
    document.addEventListener('input', write);
    document.addEventListener('keydown', press);
    return () => {
      removeEventListener('beforeunload', unload);
      document.removeEventListener('input', write);
      document.removeEventListener('keydown', press);
    };
  }, [session]);
}
