/** What a panel shows and how: the same for those the page finds and those a dashboard keeps. */

/** line and area: over time. stacked: areas one upon the other. stat: the newest value above its course. gauge: a newest value between
 * two bounds. table: last, least, most and mean of each series. heatmap: a row for each
 * series, or value of a label, over time. timeline: states over time. States are always drawn as a
 * timeline, and nothing else is: numbers become lines there. */
export type PanelKind =
  | 'line'
  | 'area'
  | 'stacked'
  | 'stat'
  | 'gauge'
  | 'table'
  | 'heatmap'
  | 'timeline';

export const PANEL_KINDS: readonly PanelKind[] = [
  'line',
  'area',
  'stacked',
  'stat',
  'gauge',
  'table',
  'heatmap',
  'timeline',
];

/** From this value on (in the panel's unit, after `rate`) a value is worth a look, or an alarm. */
export interface Threshold {
  readonly at: number;
  readonly level: 'warning' | 'critical';
}

export interface Panel {
  /** Unique within its dashboard. */
  readonly id: string;
  /** What stands above it; the name of the metric if left out. */
  readonly title?: string;
  readonly kind: PanelKind;
  /** A PromQL instant vector selector, as the stream takes it. */
  readonly select: string;
  /** Overrules the unit that the series bring. */
  readonly unit?: string;
  readonly thresholds?: readonly Threshold[];
  /** Ends of a gauge. Without them it takes those of the unit, or 0 and the most there was. */
  readonly min?: number;
  readonly max?: number;
  /** Whether a counter is shown as its change per second, which it is if left out. */
  readonly rate?: boolean;
  /** The label whose values are the rows of a heatmap; each series has its own if left out. */
  readonly by?: string;
  /** Place on a dashboard, in its columns and rows. */
  readonly grid?: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
}

/** The highest threshold that a value has reached; null for none. */
export function reached(
  thresholds: readonly Threshold[] | undefined,
  value: number,
): Threshold | null {
  let highest: Threshold | null = null;
  for (const threshold of thresholds ?? []) {
    if (value >= threshold.at && (highest === null || threshold.at > highest.at)) {
      highest = threshold;
    }
  }
  return highest;
}
