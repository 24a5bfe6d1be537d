/** What a panel shows and how, for panels of the page of all metrics and of saved dashboards. */

/**
 * line and area: over time. stacked: areas stacked on each other. stat: the newest value above its
 * chart. gauge: the newest value between two bounds. table: last, minimum, maximum and mean of each
 * series. heatmap: a row for each series, or value of a label, over time. timeline: states over
 * time; numbers are states there, too. States are always drawn as a timeline. bars and
 * pie: newest values beside each other, or as parts of their sum. row: a heading by which
 * the panels below it are folded.
 */
export type PanelKind =
  | 'line'
  | 'area'
  | 'stacked'
  | 'stat'
  | 'gauge'
  | 'table'
  | 'heatmap'
  | 'timeline'
  | 'bars'
  | 'pie'
  | 'text'
  | 'row';

export const PANEL_KINDS: readonly PanelKind[] = [
  'line',
  'area',
  'stacked',
  'stat',
  'gauge',
  'table',
  'heatmap',
  'timeline',
  'bars',
  'pie',
  'text',
  'row',
];

/**
 * From this value on (in the panel's unit, after `rate`), or below it, the value deserves a warning
 * or an alarm.
 */
export interface Threshold {
  readonly at: number;
  readonly level: 'warning' | 'critical';
  readonly below?: boolean;
}

/**
 * What some values are shown as: those of `value`, from `min` to `max`, in which `regex` is found,
 * or none at all. The first mapping that a value meets counts.
 */
export interface Mapping {
  readonly value?: number | string;
  readonly min?: number;
  readonly max?: number;
  readonly regex?: string;
  readonly special?: 'none';
  /** The value itself if left out. */
  readonly text?: string;
  /** As #rrggbb. */
  readonly colour?: string;
}

/**
 * How some lines of a panel differ from the others: those of one of its queries, of a name, or in
 * whose names `regex` is found. Of several the last one counts, for each property.
 */
export interface Line {
  /** 1 is the panel's `select`, 2 the first in `also`. */
  readonly query?: number;
  /** As the legend has it, before any `title`. */
  readonly name?: string;
  readonly regex?: string;
  readonly title?: string;
  readonly unit?: string;
  readonly decimals?: number;
  /** As #rrggbb. */
  readonly colour?: string;
}

/** Where a panel, or a value in it, leads: `{{label}}` in the address is that of the value. */
export interface Link {
  readonly title: string;
  /** http, https, or relative to the service. */
  readonly url: string;
}

/** A further selector or expression of a panel, drawn on the same axis. */
export interface Query {
  readonly select: string;
  readonly legend?: string;
}

export interface Panel {
  /** Unique within its dashboard. */
  readonly id: string;
  /** Its title; the name of the metric if left out. */
  readonly title?: string;
  readonly kind: PanelKind;
  /** A PromQL selector or expression, as the stream takes it; a panel of text has none. */
  readonly select?: string;
  /** What its lines are called: `{{host}} reads`. What tells them apart if left out. */
  readonly legend?: string;
  readonly also?: readonly Query[];
  /** Of a panel of text. */
  readonly text?: string;
  /** Shown below the title, in place of the help of the metric. */
  readonly description?: string;
  /** Used instead of the unit of the series. */
  readonly unit?: string;
  readonly thresholds?: readonly Threshold[];
  readonly mappings?: readonly Mapping[];
  readonly lines?: readonly Line[];
  /** Where the panel leads, */
  readonly links?: readonly Link[];
  /** and where each of its values does. */
  readonly data_links?: readonly Link[];
  /** Whether a chart shows thresholds as areas, too. */
  readonly areas?: boolean;
  /** How a chart draws its lines, if not as lines. */
  readonly style?: 'points' | 'steps' | 'bars';
  /** Whether the axis of lines or areas is logarithmic. */
  readonly log?: boolean;
  /** Whether a stack is of shares of the sum. */
  readonly percent?: boolean;
  /**
   * The ends of a gauge, or of an axis. Without them: the bounds of the unit, or 0 and the highest value so far.
   */
  readonly min?: number;
  readonly max?: number;
  /** Digits behind the point; three digits in all if left out. */
  readonly decimals?: number;
  /** Whether a counter is shown as its change per second; true if left out. */
  readonly rate?: boolean;
  /** The label whose values are the rows of a heatmap; if left out, each series has its own row. */
  readonly by?: string;
  /** Whether a row is folded at first: the panels below it, up to the next row, aren't there. */
  readonly collapsed?: boolean;
  /** The variable for each of whose chosen values it is there once; a row with its panels. */
  readonly repeat?: string;
  /** How many of these stand beside each other at the most; four if left out. */
  readonly across?: number;
  /** Its place on a dashboard, in columns and rows of the grid. */
  readonly grid?: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
}

/** The farthest threshold that a value has reached; null for none. */
export function reached(
  thresholds: readonly Threshold[] | undefined,
  value: number,
): Threshold | null {
  let highest: Threshold | null = null;
  for (const threshold of thresholds ?? []) {
    const { at, below, level } = threshold;
    const met = below ? value < at : value >= at;
    // Of those in one direction the farthest counts, else an alarm before a warning.
    const beats =
      !highest || (!below === !highest.below ? at > highest.at !== !!below : level === 'critical');
    if (met && beats) {
      highest = threshold;
    }
  }
  return highest;
}
