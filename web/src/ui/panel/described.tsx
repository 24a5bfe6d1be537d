import { useMemo, useRef } from 'preact/hooks';
import { loadPart } from '../../browser/part.ts';
import { legible, READ } from '../../chart/legible.ts';
import type { Picture } from '../../chart/picture.ts';
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
  const picture = usePicture(panel);
  return group.current === null ? (
    <Words panel={panel} dashboard={dashboard} />
  ) : (
    <PanelCard
      panel={group.current}
      description={panel}
      dashboard={dashboard}
      format={format}
      picture={picture}
      more={panel.links && <PanelLinks links={panel.links} dashboard={dashboard} />}
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

/** What loads the picture of a chart that is drawn otherwise than usual. */
function usePicture(panel: Description): (() => Promise<Picture>) | undefined {
  const { kind, style, log, areas, percent, thresholds, min, max } = panel;
  const styles = { filled: kind === 'area', style, log, areas, thresholds, min, max };
  const styled =
    style !== undefined ||
    log === true ||
    areas === true ||
    (min === undefined) !== (max === undefined);
  return useMemo(() => {
    if (kind === 'stacked') {
      return percent
        ? () => loadPart(() => import('../../chart/stack.ts')).then(({ Stack }) => new Stack(true))
        : undefined;
    }
    return styled && (kind === 'line' || kind === 'area' || kind === 'stat')
      ? () =>
          loadPart(() => import('../../chart/styled/styled.ts')).then(
            ({ Styled }) => new Styled(styles),
          )
      : undefined;
  }, [kind, percent, JSON.stringify(styles)]);
}

/** A colour in which text can be read in the present theme. */
function legibly(colour: string): string {
  return legible(colour, look.value.lines, READ);
}

const PanelLinks = later(
  () => import('../links.tsx'),
  ({ PanelLinks }) => PanelLinks,
);
const Words = later(
  () => import('./words.tsx'),
  ({ Words }) => Words,
);
