import type { Variable } from '../../dashboards/model.ts';
import type { Panel } from '../../panels/model.ts';

interface RepeatProps {
  readonly panel: Panel;
  readonly variables: readonly Variable[];
  readonly onChange: (fields: Partial<Record<keyof Panel, unknown>>) => void;
}

/** For each value of which variable a panel is there, and whether a row is folded. */
export function Repeat({ panel, variables, onChange }: RepeatProps) {
  const { kind, repeat, across, collapsed = false } = panel;
  const names = new Set([...variables.map(({ name }) => name), ...(repeat ? [repeat] : [])]);
  return (
    <>
      {kind === 'row' && (
        <label class="check whole">
          <input
            type="checkbox"
            checked={collapsed}
            onChange={({ currentTarget }) =>
              onChange({ collapsed: currentTarget.checked || undefined })
            }
          />
          Folded at first
        </label>
      )}
      {names.size > 0 && (
        <label>
          {kind === 'row' ? 'It and its panels for each' : 'Once for each'}
          <select
            value={repeat ?? ''}
            onChange={({ currentTarget: { value } }) =>
              onChange({ repeat: value, ...(value === '' && { across: undefined }) })
            }
          >
            <option value="">(it is there once)</option>
            {[...names].map((name) => (
              <option key={name} value={name}>
                ${name}
              </option>
            ))}
          </select>
        </label>
      )}
      {repeat !== undefined && kind !== 'row' && (
        <label>
          Beside each other
          <input
            type="number"
            min={1}
            max={12}
            placeholder="4"
            value={across}
            onInput={({ currentTarget: { valueAsNumber } }) =>
              onChange({ across: Number.isNaN(valueAsNumber) ? undefined : valueAsNumber })
            }
          />
        </label>
      )}
    </>
  );
}
