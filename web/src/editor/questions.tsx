import type { Loaded } from '../dashboards/model.ts';
import { Asking, Question } from './dialog.tsx';
import { LeftOut } from './left-out.tsx';
import { nameOf } from './model/keeping.ts';
import { EMPTY, type Session } from './model/session.ts';

interface QuestionsProps {
  readonly session: Session;
  /** The name under which the dashboard was opened, */
  readonly name: string;
  /** and what is saved under it; null if nothing is. */
  readonly loaded: Loaded | null;
  readonly writable: boolean;
  readonly onKeepAs: (name: string) => void;
  /** Leave the editor. */
  readonly onDone: () => void;
  readonly onClose: () => void;
}

/** The questions before something is saved under a name, overwritten, deleted or left. */
export function Questions(props: QuestionsProps) {
  const { session, name, loaded, writable, onKeepAs, onDone, onClose } = props;
  const { draft, opened } = session;
  const { title } = draft.current.value;
  const open = opened.value;
  return (
    <>
      {open?.form === 'name' && (
        <Asking
          title="Save as"
          label="Name"
          hint="It is in the URL, and names the file: a-z, 0-9 and -."
          value={
            session.named.value ? `${session.name.value}-copy` : suggested(name, title, loaded)
          }
          reason={open.reason}
          action="Save"
          onDone={onKeepAs}
          onClose={onClose}
        />
      )}
      {open?.form === 'conflict' && (
        <Question
          title="Somebody else has saved this dashboard meanwhile"
          text="What they saved isn’t what you began with. Nothing of yours is lost yet."
          onClose={onClose}
          actions={[
            ['Save mine as a copy', () => (opened.value = { form: 'name', reason: '' })],
            ['Take theirs', () => void session.takeTheirs()],
            ['Overwrite theirs', () => void session.overwrite()],
          ]}
        />
      )}
      {open?.form === 'delete' && (
        <Question
          title={`Delete ${title}?`}
          text="It goes for everybody. Export it first if it may be wanted again."
          onClose={onClose}
          actions={[
            [
              'Delete',
              () =>
                void session.dispose().then((gone) => {
                  if (gone) {
                    location.assign(document.baseURI);
                  }
                }),
            ],
          ]}
        />
      )}
      {open?.form === 'imported' && (
        <LeftOut
          imported={open.imported}
          onTake={() => session.take(open.imported.dashboard, open.file)}
          onClose={onClose}
        />
      )}
      {open?.form === 'leave' && (
        <Question
          title="Not everything is saved"
          text={`${title} was changed since it was last saved.`}
          onClose={onClose}
          actions={[
            ...(writable
              ? ([
                  [
                    'Save',
                    () => {
                      onClose();
                      void session.keep().then((kept) => {
                        if (kept) {
                          onDone();
                        }
                      });
                    },
                  ],
                ] as const)
              : []),
            [
              'Discard',
              () => {
                session.discard();
                onDone();
              },
            ],
          ]}
        />
      )}
    </>
  );
}

function suggested(name: string, title: string, loaded: Loaded | null): string {
  return loaded === null ? (title === EMPTY.title ? name : nameOf(title)) : `my-${name}`;
}
