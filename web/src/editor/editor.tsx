import './style/editor.css';
import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { isSelector } from '../client/protocol/selector.ts';
import { EVERYTHING } from '../client/subscriptions/spec.ts';
import { askedBy, fits } from '../dashboards/asking.ts';
import { fillPanels, meaningsOf } from '../dashboards/filling.ts';
import { follow } from '../dashboards/following.ts';
import type { Loaded, Source, Variable } from '../dashboards/model.ts';
import { inReadingOrder, placeStyle } from '../dashboards/place.ts';
import type { Panel } from '../panels/model.ts';
import type { Dashboard } from '../state/dashboard.ts';
import type { View } from '../state/view.ts';
import { PanelView } from '../ui/panel/described.tsx';
import { Choices } from '../ui/variables.tsx';
import { Handles } from './handles.tsx';
import { firstFree, type Placed, usualOf } from './model/layout.ts';
import { Session } from './model/session.ts';
import { PanelForm } from './panel-form.tsx';
import { Questions } from './questions.tsx';
import { SettingsForm } from './settings-form.tsx';
import { useShortcuts } from './shortcuts.ts';
import { Toolbar } from './toolbar.tsx';

interface EditorProps {
  readonly dashboard: Dashboard;
  readonly view: View;
  /** The saved dashboard of this name; null if there is none. */
  readonly loaded: Loaded | null;
  readonly source: Source;
  /** Whether dashboards can be saved. */
  readonly writable: boolean;
  /** Leave the editor. */
  readonly onDone: () => void;
}

/** Always the same object, so that effects which depend on it don't run again. */
const NONE: readonly Variable[] = [];

/** Edits a dashboard: panels can be moved, resized, added, changed and removed. */
export function Editor(props: EditorProps) {
  const { dashboard, view, loaded, source, writable, onDone } = props;
  const name = view.name.value!;
  const values = view.values.value;
  // A dashboard that is provisioned or shipped is saved under another name.
  const owned = source === 'saved';
  const session = useMemo(() => new Session(new URL(document.baseURI), name, loaded, owned), []);
  const { draft, opened, said, failure, saving } = session;
  /**
   * The version that others saved meanwhile; empty if they deleted it, null if nobody did either.
   */
  const elsewhere = useSignal<string | null>(null);
  const preview = useSignal<readonly Placed[] | null>(null);
  const panels = useComputed(() => {
    // A panel that is dragged keeps its place in the document, or else the drag would end.
    const shown = new Map(preview.value?.map((panel) => [panel.id, panel]));
    return inReadingOrder(draft.current.value.panels).map((panel) => shown.get(panel.id) ?? panel);
  });
  const arrange = (next: readonly Placed[], what: string): void => {
    const focused = document.activeElement as HTMLElement | null;
    draft.arrange(next);
    said.value = what;
    // An element that moves in the document loses the focus.
    requestAnimationFrame(() => {
      if (focused?.isConnected && document.activeElement !== focused) {
        focused.focus();
        focused.scrollIntoView({ block: 'nearest' });
      }
    });
  };
  useShortcuts(session);
  useEffect(() => {
    view.keepsEditing = () => {
      if (session.unsaved) {
        opened.value = { form: 'leave' };
      }
      return session.unsaved;
    };
    return () => {
      view.keepsEditing = () => false;
    };
  }, []);
  const { variables = NONE, interval } = draft.current.value;
  const meanings = meaningsOf(
    { variables, ...(interval !== undefined && { interval }) },
    values,
    dashboard.time.liveMs.value,
  );
  const drawn = new Map(
    fillPanels(draft.current.value, meanings).map((panel) => [panel.id, panel] as const),
  );
  /** What the form for a panel has, and the server can read. */
  const tried = useSignal<readonly string[]>([]);
  // Any series may be wanted; results of expressions are only there where they are asked for.
  const expressions = [...askedBy([...drawn.values()]), ...tried.value].filter(
    (one) => !isSelector(one),
  );
  const asked = [...new Set([EVERYTHING, ...expressions])].filter((_, at, all) =>
    fits(all.slice(0, at + 1)),
  );
  useEffect(() => dashboard.ask(asked), [asked.join('\n')]);
  const began = session.etag.value ?? loaded?.etag ?? null;
  const kept = session.name.value;
  useEffect(() => {
    elsewhere.value = null;
    if (began === null) {
      return;
    }
    return follow(new URL(document.baseURI), kept, began, (next) => {
      elsewhere.value = next?.etag ?? '';
    });
  }, [began, kept]);
  // One's own saving is reported this way as well, maybe before its answer comes.
  const theirs = saving.value || elsewhere.value === began ? null : elsewhere.value;
  const close = (): void => {
    opened.value = null;
  };
  const done = (): void => {
    if (loaded === null && session.etag.peek() === null) {
      location.assign(document.baseURI);
    } else {
      onDone();
    }
  };
  const leave = (): void => {
    if (session.unsaved) {
      opened.value = { form: 'leave' };
    } else {
      session.discard();
      done();
    }
  };
  const keepAs = async (wanted: string): Promise<void> => {
    if (await session.keepAs(wanted)) {
      view.quietly(() => {
        view.name.value = wanted;
      });
    }
  };

  const setPanel = (id: string | null, next: Panel): void => {
    const { panels: now } = draft.current.peek();
    if (id === null) {
      draft.arrange([...now, { ...next, grid: firstFree(now, usualOf(next)) }]);
    } else {
      draft.arrange(now.map((one) => (one.id === id ? { ...next, grid: one.grid } : one)));
    }
    close();
  };

  const { title, description } = draft.current.value;
  const open = opened.value;
  return (
    <section class="board editor" aria-label={`Editing ${title}`}>
      <header>
        <h2>{title}</h2>
        {draft.dirty.value && <span class="chip">not saved</span>}
        {description && <p>{description}</p>}
        {variables.length > 0 && <Choices kept={draft.current.value} view={view} />}
        <Toolbar session={session} writable={writable} onLeave={leave} />
      </header>
      {!writable && (
        <p class="remark">
          This service keeps no dashboards: start it with <code>--dashboards DIRECTORY</code>. What
          you make can be exported, and provisioned as a file.
        </p>
      )}
      {writable && !owned && !session.named.value && (
        <p class="remark">
          This dashboard is {source === 'shipped' ? 'one that comes with pushsvc' : 'provisioned'},
          so what you make of it is saved under another name.
        </p>
      )}
      {failure.value !== '' && (
        <p class="failure" role="alert">
          {failure.value}
        </p>
      )}
      <div class={theirs === null ? 'unseen' : 'news'}>
        <p role="status">
          {theirs === '' &&
            'Somebody has deleted this dashboard meanwhile. Your draft is kept, and can be saved.'}
          {theirs && 'Somebody else has saved this dashboard meanwhile. Your draft is kept.'}
        </p>
        {theirs && owned && (
          <button type="button" onClick={() => void session.takeTheirs()}>
            Go on with theirs
          </button>
        )}
      </div>
      <p class="unseen" role="status">
        {said.value}
      </p>
      {panels.value.length === 0 && (
        <section class="message">
          <h3>An empty dashboard</h3>
          <p>Add a panel: a selector such as a metric’s name is all that it takes.</p>
        </section>
      )}
      <div class="cells editing">
        {panels.value.map((panel) => (
          <div key={panel.id} class="cell placed" style={placeStyle(panel.grid)}>
            <PanelView panel={drawn.get(panel.id) ?? panel} dashboard={dashboard} />
            <Handles
              panel={panel}
              panels={draft.current.value.panels}
              onPreview={(next) => (preview.value = next)}
              onArrange={arrange}
              onChange={() => (opened.value = { form: 'panel', id: panel.id })}
            />
          </div>
        ))}
      </div>
      {open?.form === 'panel' && (
        <PanelForm
          panel={draft.current.value.panels.find(({ id }) => id === open.id) ?? null}
          taken={draft.current.value.panels.map(({ id }) => id)}
          dashboard={dashboard}
          values={meanings}
          variables={variables}
          onTry={(these) => (tried.value = these)}
          onDone={(next) => setPanel(open.id, next)}
          onClose={close}
        />
      )}
      {open?.form === 'settings' && (
        <SettingsForm
          kept={draft.current.value}
          onDone={(settings) => {
            draft.change({ ...settings, panels: draft.current.peek().panels });
            close();
          }}
          onClose={close}
        />
      )}
      <Questions
        session={session}
        name={name}
        loaded={loaded}
        writable={writable}
        onKeepAs={(wanted) => void keepAs(wanted)}
        onDone={done}
        onClose={close}
      />
    </section>
  );
}
