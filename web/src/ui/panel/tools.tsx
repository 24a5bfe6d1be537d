import { loadPart } from '../../browser/part.ts';
import type { Format } from '../../format/units.ts';
import { collapsed, hidden } from '../../panels/arrangement.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Panel } from '../../store/panel.ts';
import { Icon } from '../icon.tsx';

interface SaveProps {
  /** The id of the panel, by which the choice of lines is saved. */
  readonly id: string;
  readonly title: string;
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  /** Whether there is a chart to save as a picture. */
  readonly drawn: boolean;
}

/** Downloads what is shown. */
export function Save({ id, title, panel, dashboard, format, drawn }: SaveProps) {
  const save = async (root: Element, picture: boolean): Promise<void> =>
    (await loadPart(() => import('./saving.ts'))).save(root, {
      id,
      title,
      panel,
      dashboard,
      format,
      picture,
    });
  return (
    <>
      {drawn && (
        <button
          type="button"
          class="file"
          aria-label={`${title} as a PNG picture`}
          title="The chart as a picture"
          onClick={({ currentTarget }) => void save(currentTarget, true)}
        >
          PNG
        </button>
      )}
      <button
        type="button"
        class="file"
        aria-label={`${title} as a CSV file`}
        title="The points in this window, as a table"
        onClick={({ currentTarget }) => void save(currentTarget, false)}
      >
        CSV
      </button>
    </>
  );
}

/** The address of the panel alone: for full screen, or to embed it. */
export function Alone({ title, href }: { title: string; href: () => string }) {
  return (
    <a href={href()} title="This panel alone, as it can be embedded">
      <span class="unseen">{title} alone</span>
      <Icon path="M9.5 3h3.5v3.5M13 3L8.5 7.5M11 9.5V13H3V5h3.5" />
    </a>
  );
}

interface AsTableProps {
  readonly title: string;
  readonly pressed: boolean;
  readonly onToggle: () => void;
}

/** Shows a panel as a table, whatever its kind. */
export function AsTable({ title, pressed, onToggle }: AsTableProps) {
  return (
    <button
      type="button"
      aria-pressed={pressed}
      aria-label={`${title} as a table`}
      title="Last, lowest, highest and mean of each line in this window"
      onClick={onToggle}
    >
      <Icon path="M2.5 3.5h11v9h-11zM2.5 6.5h11M2.5 9.5h11M6.5 3.5v9" />
    </button>
  );
}

/** Collapses a panel to its name, or hides it. */
export function Fold({ panel: { key, name } }: { panel: Panel }) {
  const folded = collapsed.has(key);
  return (
    <>
      <button
        type="button"
        aria-expanded={!folded}
        aria-label={`Collapse ${name}`}
        title={folded ? 'Expand' : 'Collapse'}
        onClick={() => collapsed.toggle(key)}
      >
        <Icon path={folded ? 'M6 4l4 4-4 4' : 'M4 6l4 4 4-4'} />
      </button>
      <button
        type="button"
        aria-label={`Hide ${name}`}
        title="Hide"
        onClick={() => hidden.toggle(key)}
      >
        <Icon path="M4 4l8 8M12 4l-8 8" />
      </button>
    </>
  );
}
