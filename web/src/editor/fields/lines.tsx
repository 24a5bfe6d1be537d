import { patternOf } from '../../panels/mapping.ts';
import type { Line } from '../../panels/model.ts';
import { Colour } from './colour.tsx';

const MOST = 64;

interface LinesProps {
  readonly lines: readonly Line[];
  /** How many selectors there are. */
  readonly queries: number;
  readonly onChange: (lines: readonly Line[]) => void;
}

/** What single lines have of their own. */
export function Lines({ lines, queries, onChange }: LinesProps) {
  const put = (index: number, next: Line): void =>
    onChange(lines.map((one, at) => (at === index ? next : one)));
  return (
    <fieldset class="thresholds variables whole">
      <legend>Single lines</legend>
      {lines.map((line, index) => (
        <fieldset key={index}>
          <legend class="unseen">Lines {index + 1}</legend>
          <label>
            Those
            <select
              value={line.query ?? (line.regex === undefined ? 'name' : 'regex')}
              onChange={({ currentTarget: { value } }) => {
                const { query: _q, name: _n, regex: _r, ...own } = line;
                put(
                  index,
                  value === 'name' || value === 'regex'
                    ? { [value]: '', ...own }
                    : { query: Number(value), ...own },
                );
              }}
            >
              <option value="name">of a name</option>
              <option value="regex">with a name in which is found</option>
              {Array.from({ length: queries }, (_, at) => (
                <option key={at} value={at + 1}>
                  of selector {at + 1}
                </option>
              ))}
            </select>
          </label>
          {line.query === undefined && (
            <label>
              {line.regex === undefined ? 'Name' : 'Regular expression'}
              <input
                type="text"
                maxLength={200}
                required
                autocomplete="off"
                spellcheck={false}
                value={line.name ?? line.regex}
                onInput={({ currentTarget }) => {
                  const { value } = currentTarget;
                  const wrong = line.regex !== undefined && patternOf(value) === null;
                  currentTarget.setCustomValidity(
                    wrong
                      ? 'A regular expression in which no group is repeated, and little else'
                      : '',
                  );
                  put(index, { ...line, [line.regex === undefined ? 'name' : 'regex']: value });
                }}
              />
            </label>
          )}
          <Own line={line} onChange={(next) => put(index, next)} />
          <button type="button" onClick={() => onChange(lines.filter((_, one) => one !== index))}>
            Remove lines {index + 1}
          </button>
        </fieldset>
      ))}
      {lines.length < MOST && (
        <button type="button" onClick={() => onChange([...lines, { query: 1 }])}>
          Add what single lines have
        </button>
      )}
    </fieldset>
  );
}

/** A name, a unit, decimals, a colour: at least one of these. */
function Own({ line, onChange }: { line: Line; onChange: (line: Line) => void }) {
  const { title, unit, decimals, colour } = line;
  const lacking = unit === undefined && decimals === undefined && colour === undefined;
  const put = (own: Partial<Record<keyof Line, unknown>>): void => {
    const next = Object.entries({ ...line, ...own });
    onChange(Object.fromEntries(next.filter(([, value]) => value !== undefined)) as Line);
  };
  return (
    <>
      <label>
        Called
        <input
          type="text"
          maxLength={200}
          placeholder="{{host}} reads"
          required={lacking}
          value={title ?? ''}
          onInput={({ currentTarget: { value } }) => put({ title: value || undefined })}
        />
      </label>
      <label>
        Unit
        <input
          type="text"
          maxLength={64}
          list="units"
          placeholder="that of the panel"
          value={unit ?? ''}
          onInput={({ currentTarget: { value } }) => put({ unit: value || undefined })}
        />
      </label>
      <label>
        Decimals
        <input
          type="number"
          min={0}
          max={10}
          placeholder="as many as it takes"
          value={decimals}
          onInput={({ currentTarget: { valueAsNumber } }) =>
            put({ decimals: Number.isNaN(valueAsNumber) ? undefined : valueAsNumber })
          }
        />
      </label>
      <Colour value={colour} onChange={(next) => put({ colour: next })} />
    </>
  );
}

/** What is left where a selector is removed: those that follow it have a number less. */
export function withoutQuery(lines: readonly Line[], query: number): readonly Line[] {
  return lines
    .filter((line) => line.query !== query)
    .map((line) =>
      line.query !== undefined && line.query > query ? { ...line, query: line.query - 1 } : line,
    );
}
