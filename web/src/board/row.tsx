import './row.css';
import type { Panel } from '../panels/model.ts';
import { Icon } from '../ui/icon.tsx';

interface RowProps {
  readonly row: Panel;
  readonly folded: boolean;
  /** How many panels are in it. */
  readonly count: number;
  readonly onFold: () => void;
}

/** The heading of a row, by which it is folded. */
export function Row({ row: { title, description }, folded, count, onFold }: RowProps) {
  return (
    <div class="row">
      <h3>
        <button type="button" aria-expanded={!folded} onClick={onFold}>
          <Icon path={folded ? 'M6 4l4 4-4 4' : 'M4 6l4 4 4-4'} />
          {title}
        </button>
      </h3>
      {folded && (
        <span class="remark">
          {count} {count === 1 ? 'panel' : 'panels'}
        </span>
      )}
      {description && <p class="remark">{description}</p>}
    </div>
  );
}
