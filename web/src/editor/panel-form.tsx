import './style/panel-form.css';
import './style/fieldsets.css';
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { fillIn, fillPanels, type Meanings } from '../dashboards/filling.ts';
import type { Variable } from '../dashboards/model.ts';
import { PANEL_KINDS, type Panel, type PanelKind, type Query } from '../panels/model.ts';
import type { Dashboard } from '../state/dashboard.ts';
import { PanelView } from '../ui/panel/described.tsx';
import { Dialog } from './dialog.tsx';
import { Drawing } from './fields/drawing.tsx';
import { Lines, withoutQuery } from './fields/lines.tsx';
import { Links } from './fields/links.tsx';
import { Mappings } from './fields/mappings.tsx';
import { Repeat } from './fields/repeat.tsx';
import { Legend } from './fields/scale.tsx';
import { Thresholds } from './fields/thresholds.tsx';
import { titleOf } from './handles.tsx';
import type { Verdict } from './model/checking.ts';
import { freeId, nameOf } from './model/keeping.ts';
import { isAsking, KINDS } from './model/kinds.ts';
import { Names } from './model/names.ts';
import { SelectorField, Selectors } from './selector-field.tsx';

const MOST_ALSO = 15;
/** What few panels have: the preview would be far away below it. */
const MORE = ['style', 'log', 'areas', 'mappings', 'links', 'data_links', 'lines'] as const;

interface PanelFormProps {
  /** Null for a new panel. */
  readonly panel: Panel | null;
  /** Ids that are in use. */
  readonly taken: readonly string[];
  readonly dashboard: Dashboard;
  readonly values: Meanings;
  readonly variables: readonly Variable[];
  /** Called with what the preview asks for; the server can read all of it. */
  readonly onTry: (queries: readonly string[]) => void;
  readonly onDone: (panel: Panel) => void;
  readonly onClose: () => void;
}

/** All properties of a panel, with a preview. */
export function PanelForm(props: PanelFormProps) {
  const { panel, taken, dashboard, values, variables, onTry, onDone, onClose } = props;
  const draft = useSignal<Panel>(panel ?? { id: '', kind: 'line', select: '' });
  const {
    title = '',
    kind,
    select: selector = '',
    legend = '',
    also = [],
    text = '',
    decimals,
    unit = '',
    thresholds = [],
    mappings = [],
    lines = [],
    rate,
    by,
  } = draft.value;
  const change = (fields: Partial<Record<keyof Panel, unknown>>): void => {
    const next: Record<string, unknown> = { ...draft.value, ...fields };
    for (const name of unused(next.kind as PanelKind)) {
      delete next[name];
    }
    if (Array.isArray(next.also) && next.also.length === 0) {
      delete next.also;
    }
    for (const [name, value] of Object.entries(next)) {
      // What is left out has the page's defaults.
      if (value === undefined || value === '') {
        delete next[name];
      }
    }
    if (next.kind !== 'stacked') {
      delete next.percent;
    }
    draft.value = (isAsking(next.kind as PanelKind)
      ? { select: '', ...next }
      : next) as unknown as Panel;
  };
  const lined = kind === 'line' || kind === 'area';
  /** Whether there is more of it than most panels have, as it was opened. */
  const begun = useMemo(() => MORE.some((name) => panel?.[name] !== undefined), []);
  const meant = fillIn(selector, values);
  const selectors = useMemo(() => new Selectors(), []);
  const names = useMemo(() => new Names(new URL(document.baseURI)), []);
  const verdict = useSignal<Verdict | null>(null);
  const matches = verdict.value?.type === 'read' ? verdict.value.series : [];
  const [first] = matches;
  /** What the server could read so far, which one that is being written is not among. */
  const readable = useSignal<ReadonlySet<string>>(new Set());
  const read = (query: string): void => {
    readable.value = new Set([...readable.peek(), query]);
  };
  const tried = [selector, ...also.map(({ select }) => select)]
    .map((query) => fillIn(query, values))
    .filter((query) => readable.value.has(query));
  useEffect(() => {
    onTry(tried);
  }, [tried.join('\n')]);
  useEffect(() => () => onTry([]), []);
  /** The labels that a heatmap may have its rows by. */
  const labels = useSignal<readonly string[]>([]);
  const rowed = kind === 'heatmap' && first !== undefined;
  useEffect(() => {
    const ending = new AbortController();
    if (rowed) {
      names.find({ label: null, select: meant, search: '' }, ending.signal).then(
        (found) => {
          labels.value = found.filter((label) => label !== '__name__');
        },
        () => {},
      );
    }
    return () => ending.abort();
  }, [rowed, meant]);
  const done = (): void => {
    const { value } = draft;
    const id = value.id || freeId(nameOf(title || selector), taken);
    onDone({
      ...value,
      id,
      ...(thresholds.length > 0 && { thresholds: [...thresholds].sort((a, b) => a.at - b.at) }),
    });
  };
  return (
    <Dialog
      title={panel === null ? 'Add a panel' : `Change ${titleOf(panel)}`}
      onClose={onClose}
      wide
    >
      <form
        class="panel-form"
        onSubmit={(event) => {
          event.preventDefault();
          void selectors.pass().then((passed) => {
            if (passed) {
              done();
            }
          });
        }}
      >
        <div class="fields">
          {kind === 'row' ? null : kind === 'text' ? (
            <label class="whole">
              Text
              <textarea
                rows={5}
                maxLength={20_000}
                required={title === ''}
                value={text}
                onInput={({ currentTarget }) => change({ text: currentTarget.value })}
              />
            </label>
          ) : (
            <div class="whole">
              <SelectorField
                label="Selector"
                value={selector}
                onInput={(text) => change({ select: text })}
                selectors={selectors}
                names={names}
                meant={(text) => fillIn(text, values)}
                verdict={verdict}
                expressions
                window="$__rate_interval"
                onRead={read}
              />
            </div>
          )}
          <label class="whole">
            Title
            <input
              type="text"
              maxLength={200}
              required={kind === 'row'}
              placeholder={first?.name ?? ''}
              value={title}
              onInput={({ currentTarget }) => change({ title: currentTarget.value })}
            />
          </label>
          <label>
            Shown as
            <select
              value={kind}
              onChange={({ currentTarget }) => change({ kind: currentTarget.value })}
            >
              {PANEL_KINDS.map((one) => (
                <option key={one} value={one}>
                  {KINDS[one]}
                </option>
              ))}
            </select>
          </label>
          <label>
            Unit
            <input
              type="text"
              maxLength={64}
              list="units"
              placeholder={first?.unit ?? ''}
              value={unit}
              onInput={({ currentTarget }) => change({ unit: currentTarget.value })}
            />
          </label>
          <datalist id="units">
            {['bytes', 'seconds', 'ratio', 'percent', 'hertz', 'celsius'].map((name) => (
              <option key={name} value={name} />
            ))}
          </datalist>
          {isAsking(kind) && (
            <>
              <Legend value={legend} onChange={(next) => change({ legend: next })} />
              <div class="whole">
                {also.map((query, index) => {
                  const set = (fields: Partial<Query>): void =>
                    change({
                      also: also.map((one, at) => (at === index ? { ...one, ...fields } : one)),
                    });
                  return (
                    <fieldset key={index}>
                      <legend class="unseen">Selector {index + 2}</legend>
                      <SelectorField
                        label={`Selector ${index + 2}`}
                        value={query.select}
                        onInput={(text) => set({ select: text })}
                        selectors={selectors}
                        names={names}
                        meant={(text) => fillIn(text, values)}
                        expressions
                        window="$__rate_interval"
                        onRead={read}
                      />
                      <Legend
                        value={query.legend ?? ''}
                        onChange={(next) => set({ legend: next })}
                      />
                      <button
                        type="button"
                        onClick={() =>
                          change({
                            also: also.filter((_, at) => at !== index),
                            lines: orNone(withoutQuery(lines, index + 2)),
                          })
                        }
                      >
                        Remove selector {index + 2}
                      </button>
                    </fieldset>
                  );
                })}
                {selector !== '' && also.length < MOST_ALSO && (
                  <button type="button" onClick={() => change({ also: [...also, { select: '' }] })}>
                    Add a selector
                  </button>
                )}
              </div>
            </>
          )}
          {isAsking(kind) && (
            <label>
              Decimals
              <input
                type="number"
                min={0}
                max={10}
                placeholder="as many as it takes"
                value={decimals}
                onInput={({ currentTarget }) => {
                  const { valueAsNumber } = currentTarget;
                  change({ decimals: Number.isNaN(valueAsNumber) ? undefined : valueAsNumber });
                }}
              />
            </label>
          )}
          {!lined && <Drawing panel={draft.value} onChange={change} />}
          {kind === 'heatmap' && (
            <label>
              A row for each
              <select
                value={by ?? ''}
                onChange={({ currentTarget }) => change({ by: currentTarget.value })}
              >
                <option value="">series</option>
                {[...new Set([...(by === undefined ? [] : [by]), ...labels.value])].map((label) => (
                  <option key={label} value={label}>
                    {label}
                  </option>
                ))}
              </select>
            </label>
          )}
          <Repeat panel={draft.value} variables={variables} onChange={change} />
          <label class="check whole">
            <input
              type="checkbox"
              checked={rate !== false}
              onChange={({ currentTarget }) =>
                change({ rate: currentTarget.checked ? undefined : false })
              }
            />
            Counters as their change per second
          </label>
          <Thresholds
            thresholds={thresholds}
            onChange={(next) => change({ thresholds: orNone(next) })}
          />
          <details class="more whole" open={begun}>
            <summary>Drawing, texts of values, links, single lines</summary>
            <div class="fields">
              {lined && <Drawing panel={draft.value} onChange={change} />}
              <Mappings
                mappings={mappings}
                onChange={(next) => change({ mappings: orNone(next) })}
              />
              <Links
                title="Links of the panel"
                links={draft.value.links ?? []}
                onChange={(next) => change({ links: orNone(next) })}
              />
              {isAsking(kind) && (
                <Links
                  title="Links of its values"
                  links={draft.value.data_links ?? []}
                  onChange={(next) => change({ data_links: orNone(next) })}
                />
              )}
              {isAsking(kind) && (
                <Lines
                  lines={lines}
                  queries={1 + also.length}
                  onChange={(next) => change({ lines: orNone(next) })}
                />
              )}
            </div>
          </details>
        </div>
        <div class="preview">
          {(selector !== '' || !isAsking(kind)) && (
            <PanelView
              panel={fillPanels({ panels: [draft.value] }, values)[0]!}
              dashboard={dashboard}
            />
          )}
        </div>
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="first">
            {panel === null ? 'Add' : 'Apply'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** What a panel of a kind doesn't have. */
function unused(kind: PanelKind): readonly string[] {
  const asked = ['select', 'also', 'legend', 'lines', 'data_links'];
  return kind === 'row'
    ? [...asked, 'text']
    : ['collapsed', ...(kind === 'text' ? asked : ['text'])];
}

/** An empty list is left out. */
function orNone<Item>(list: readonly Item[]): readonly Item[] | undefined {
  return list.length > 0 ? list : undefined;
}
