/** What a panel shows and how, for panels of the page of all metrics and of saved dashboards. */

/**
 * line and area: over time. stacked: areas stacked on each other. stat: the newest value above its
 * chart. gauge: the newest value between two bounds. table: last, minimum, maximum and mean of each
 * series. heatmap: a row for each series, or value of a label, over time. timeline: states over
 * time. States are always drawn as a timeline, and numbers never are: those become lines.
 */
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

/**
 * From this value on (in the panel's unit, after `rate`) the value deserves a warning or an alarm.
 */
export interface Threshold {
  readonly at: number;
  readonly level: 'warning' | 'critical';
}

export interface Panel {
  /** Unique within its dashboard. */
  readonly id: string;
  /** Its title; the name of the metric if left out. */
  readonly title?: string;
  readonly kind: PanelKind;
  /** A PromQL instant vector selector, as the stream takes it. */
  readonly select: string;
  /** Used instead of the unit of the series. */
  readonly unit?: string;
  readonly thresholds?: readonly Threshold[];
  /**
   * The ends of a gauge. Without them: the bounds of the unit, or 0 and the highest value so far.
   */
  readonly min?: number;
  readonly max?: number;
  /** Whether a counter is shown as its change per second; true if left out. */
  readonly rate?: boolean;
  /** The label whose values are the rows of a heatmap; if left out, each series has its own row. */
  readonly by?: string;
  /** Its place on a dashboard, in columns and rows of the grid. */
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
