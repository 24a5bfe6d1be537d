import { patternOf } from '../../panels/mapping.ts';
import type { Mapping } from '../../panels/model.ts';
import { Colour } from './colour.tsx';

const MOST = 100;
const MOST_TEXT = 200;

/** What a mapping is of. */
type Of = 'value' | 'range' | 'regex' | 'none';

const TITLES: Readonly<Record<Of, string>> = {
  value: 'a value',
  range: 'values from, to',
  regex: 'a regular expression',
  none: 'no value',
};

interface MappingsProps {
  readonly mappings: readonly Mapping[];
  readonly onChange: (mappings: readonly Mapping[]) => void;
}

/** What some values are shown as. */
export function Mappings({ mappings, onChange }: MappingsProps) {
  const put = (index: number, next: Mapping): void =>
    onChange(mappings.map((one, at) => (at === index ? next : one)));
  return (
    <fieldset class="thresholds variables whole">
      <legend>Texts and colours of values</legend>
      {mappings.map((mapping, index) => (
        <fieldset key={index}>
          <legend class="unseen">Text {index + 1}</legend>
          <label>
            For
            <select
              value={ofWhat(mapping)}
              onChange={({ currentTarget }) => put(index, begun(currentTarget.value, mapping))}
            >
              {Object.entries(TITLES).map(([of, title]) => (
                <option key={of} value={of}>
                  {title}
                </option>
              ))}
            </select>
          </label>
          <Which mapping={mapping} onChange={(next) => put(index, next)} />
          <label>
            Shown as
            <input
              type="text"
              maxLength={MOST_TEXT}
              required={mapping.colour === undefined}
              value={mapping.text ?? ''}
              onInput={({ currentTarget: { value } }) => put(index, withText(mapping, value))}
            />
          </label>
          <Colour
            value={mapping.colour}
            onChange={(colour) => {
              const { colour: _, ...others } = mapping;
              put(index, colour === undefined ? others : { ...others, colour });
            }}
          />
          <button
            type="button"
            onClick={() => onChange(mappings.filter((_, one) => one !== index))}
          >
            Remove text {index + 1}
          </button>
        </fieldset>
      ))}
      {mappings.length < MOST && (
        <button type="button" onClick={() => onChange([...mappings, { value: 0, text: '' }])}>
          Add a text for a value
        </button>
      )}
    </fieldset>
  );
}

/** The values that a mapping is of. */
function Which({ mapping, onChange }: { mapping: Mapping; onChange: (mapping: Mapping) => void }) {
  switch (ofWhat(mapping)) {
    case 'value':
      return (
        <label>
          Value
          <input
            type="text"
            maxLength={MOST_TEXT}
            value={mapping.value}
            onInput={({ currentTarget: { value } }) => onChange({ ...mapping, value: read(value) })}
          />
        </label>
      );
    case 'range':
      return (
        <>
          {(['min', 'max'] as const).map((end) => (
            <label key={end}>
              {end === 'min' ? 'From' : 'To'}
              <input
                type="number"
                step="any"
                required={mapping[end === 'min' ? 'max' : 'min'] === undefined}
                value={mapping[end]}
                onInput={({ currentTarget: { valueAsNumber } }) => {
                  const { [end]: _, ...others } = mapping;
                  onChange(
                    Number.isNaN(valueAsNumber) ? others : { ...others, [end]: valueAsNumber },
                  );
                }}
              />
            </label>
          ))}
        </>
      );
    case 'regex':
      return (
        <label>
          Found in it
          <input
            type="text"
            maxLength={MOST_TEXT}
            required
            autocomplete="off"
            spellcheck={false}
            value={mapping.regex}
            onInput={({ currentTarget }) => {
              currentTarget.setCustomValidity(
                patternOf(currentTarget.value) === null
                  ? 'A regular expression in which no group is repeated, and little else'
                  : '',
              );
              onChange({ ...mapping, regex: currentTarget.value });
            }}
          />
        </label>
      );
    default:
      return null;
  }
}

export function ofWhat({ value, regex, special }: Mapping): Of {
  return value !== undefined
    ? 'value'
    : regex !== undefined
      ? 'regex'
      : special !== undefined
        ? 'none'
        : 'range';
}

/** A mapping of something else, with the same text and colour. */
function begun(of: string, { text = '', colour }: Mapping): Mapping {
  const meant = { text, ...(colour !== undefined && { colour }) };
  switch (of) {
    case 'value':
      return { value: 0, ...meant };
    case 'range':
      return { min: 0, ...meant };
    case 'regex':
      return { regex: '', ...meant };
    default:
      return { special: 'none', ...meant };
  }
}

function withText({ text: _, ...others }: Mapping, text: string): Mapping {
  return text === '' && others.colour !== undefined ? others : { ...others, text };
}

/** A number where it is one; states are texts. */
function read(value: string): number | string {
  const number = Number(value);
  return value.trim() !== '' && Number.isFinite(number) ? number : value;
}
