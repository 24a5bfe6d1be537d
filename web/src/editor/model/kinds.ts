import { PANEL_KINDS, type PanelKind } from '../../panels/model.ts';

/** What kinds of panels are called. */
export const KINDS: Readonly<Record<PanelKind, string>> = {
  line: 'Lines',
  area: 'Areas',
  stacked: 'Stacked areas',
  stat: 'Large value with its course',
  gauge: 'Gauge',
  table: 'Table',
  heatmap: 'Heatmap',
  timeline: 'States over time',
  bars: 'Bars, of newest values',
  pie: 'Pie, of newest values',
  text: 'Text',
  row: 'A row that folds the panels below it',
};

/** Whether a panel of a kind shows series. */
export function isAsking(kind: PanelKind): boolean {
  return kind !== 'text' && kind !== 'row';
}

/** The kinds that do. */
export const ASKING: readonly PanelKind[] = PANEL_KINDS.filter(isAsking);
