import type { Threshold } from '../../panels/model.ts';

const MOST_THRESHOLDS = 16;

interface ThresholdsProps {
  readonly thresholds: readonly Threshold[];
  readonly onChange: (thresholds: readonly Threshold[]) => void;
}

/** The values from which on the panel shows a warning or an alarm. */
export function Thresholds({ thresholds, onChange }: ThresholdsProps) {
  const replace = (index: number, fields: Partial<Threshold>): void =>
    onChange(thresholds.map((one, at) => (at === index ? { ...one, ...fields } : one)));
  return (
    <fieldset class="thresholds whole">
      <legend>Thresholds</legend>
      {thresholds.map(({ at, level, below = false }, index) => (
        <fieldset key={index}>
          <legend class="unseen">Threshold {index + 1}</legend>
          <label>
            Level
            <select
              value={level}
              onChange={({ currentTarget }) =>
                replace(index, { level: currentTarget.value as Threshold['level'] })
              }
            >
              <option value="warning">warning</option>
              <option value="critical">critical</option>
            </select>
          </label>
          <label>
            Where
            <select
              value={below ? 'below' : 'from'}
              onChange={({ currentTarget }) =>
                replace(index, { below: currentTarget.value === 'below' })
              }
            >
              <option value="from">from</option>
              <option value="below">below</option>
            </select>
          </label>
          <label>
            Value
            <input
              type="number"
              step="any"
              required
              value={at}
              onInput={({ currentTarget }) => {
                if (!Number.isNaN(currentTarget.valueAsNumber)) {
                  replace(index, { at: currentTarget.valueAsNumber });
                }
              }}
            />
          </label>
          <button
            type="button"
            aria-label={`Remove threshold ${index + 1}`}
            onClick={() => onChange(thresholds.filter((_, one) => one !== index))}
          >
            ×
          </button>
        </fieldset>
      ))}
      {thresholds.length < MOST_THRESHOLDS && (
        <button
          type="button"
          onClick={() =>
            onChange([...thresholds, { at: (thresholds.at(-1)?.at ?? 0) + 1, level: 'warning' }])
          }
        >
          Add a threshold
        </button>
      )}
    </fieldset>
  );
}
