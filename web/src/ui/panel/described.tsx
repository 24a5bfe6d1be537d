import { useMemo, useRef } from 'preact/hooks';
import { legible, READ } from '../../chart/legible.ts';
import { look } from '../../chart/theme.ts';
import type { Format } from '../../format/units.ts';
import { select } from '../../panels/gathering.ts';
import type { Panel as Description } from '../../panels/model.ts';
import { formatFor, type Written } from '../../panels/writing.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Panel } from '../../store/panel.ts';
import { later } from '../later.tsx';
import { PanelCard } from './panel.tsx';

interface ViewProps {
  readonly panel: Description;
  readonly dashboard: Dashboard;
  /** The address of the panel alone, as others embed it. */
  readonly alone?: (() => string) | undefined;
}

/** A panel of a saved dashboard, with the series that its selector matches. */
export function PanelView({ panel, dashboard, alone }: ViewProps) {
  const group = useRef<Panel | null>(null);
  group.current = select(dashboard.panels.value, panel, group.current, legibly);
  const { rate = false, unit = '' } = group.current ?? {};
  const format = useFormat(panel, panel.unit ?? unit, rate);
  return group.current === null ? (
    <Words panel={panel} dashboard={dashboard} />
  ) : (
    <PanelCard
      panel={group.current}
      description={panel}
      dashboard={dashboard}
      format={format}
      alone={alone}
    />
  );
}

/** How the values of a panel are written; the same object until that changes. */
function useFormat(
  { decimals, min, max, mappings }: Description,
  unit: string,
  rate: boolean,
): Format {
  const written = { decimals, min, max, mappings } as Written;
  return useMemo(
    () => formatFor(written, unit, rate, legibly),
    [unit, rate, JSON.stringify(written)],
  );
}

/** A colour in which text can be read in the present theme. */
function legibly(colour: string): string {
  return legible(colour, look.value.lines, READ);
}

const Words = later(
  () => import('./words.tsx'),
  ({ Words }) => Words,
);
