import type { Panel } from '../../panels/model.ts';
import { Bound } from './scale.tsx';

interface DrawingProps {
  readonly panel: Panel;
  readonly onChange: (fields: Partial<Record<keyof Panel, unknown>>) => void;
}

const STYLES = { '': 'lines', steps: 'steps', points: 'points', bars: 'bars' } as const;

/** How a chart is drawn, and the ends of its axis. */
export function Drawing({ panel, onChange }: DrawingProps) {
  const { kind, style = '', min, max } = panel;
  const lined = kind === 'line' || kind === 'area';
  const check = (name: 'log' | 'percent' | 'areas', title: string) => (
    <label class="check">
      <input
        type="checkbox"
        checked={panel[name] === true}
        onChange={({ currentTarget: { checked } }) => onChange({ [name]: checked || undefined })}
      />
      {title}
    </label>
  );
  return (
    <>
      {lined && (
        <label>
          Drawn as
          <select
            value={style}
            onChange={({ currentTarget: { value } }) => onChange({ style: value })}
          >
            {Object.entries(STYLES).map(([value, title]) => (
              <option key={value} value={value}>
                {title}
              </option>
            ))}
          </select>
        </label>
      )}
      {(lined || kind === 'gauge') && (
        <>
          <Bound
            title={lined ? 'Axis from' : 'From'}
            value={min}
            onChange={(value) => onChange({ min: value })}
          />
          <Bound
            title={lined ? 'Axis to' : 'To'}
            value={max}
            onChange={(value) => onChange({ max: value })}
            above={min}
          />
        </>
      )}
      {lined && check('log', 'Logarithmic axis')}
      {kind === 'stacked' && check('percent', 'Shares of the sum, in percent')}
      {lined && check('areas', 'Thresholds as areas, too')}
    </>
  );
}
