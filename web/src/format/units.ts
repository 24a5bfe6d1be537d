/**
 * Values as people read them, by unit: bytes with IEC prefixes, seconds down to µs, ratios as
 * percent.
 *
 * Units are those of Prometheus (base units, spelled out) and the common short forms.
 */

import { printable } from './printable.ts';
import { formatMoment, formatMoments } from './time.ts';

export interface Format {
  /** One value with three significant digits and its unit. */
  value(value: number): string;
  /** What a value is shown as instead, and its colour, where somebody says so. */
  readonly meant?: (value: unknown) => { readonly text?: string; readonly colour?: string } | null;
  /** The labels of an axis, all with the same prefix and number of decimals. */
  ticks(values: readonly number[]): string[];
  /**
   * Round steps are multiples of powers of this base: 10, 1024 for bytes, or 60 for moments, whose
   * axis need not include zero.
   */
  readonly base: 10 | 1024 | 60;
  /** The natural bounds of the unit's values. */
  readonly bounds: readonly [number, number] | null;
}

interface Step {
  readonly factor: number;
  readonly symbol: string;
}

const steps = (base: number, from: number, symbols: string): Step[] =>
  symbols.split(',').map((symbol, index) => ({ factor: base ** (index + from), symbol }));

const SI_UP = steps(1000, 0, ',k,M,G,T,P,E');
const SI = steps(1000, -3, 'n,µ,m,,k,M,G,T,P,E');
const IEC = steps(1024, 0, ',Ki,Mi,Gi,Ti,Pi,Ei');
const SECONDS: Step[] = [
  ...steps(1000, -3, 'n,µ,m,').map(({ factor, symbol }) => ({ factor, symbol: `${symbol}s` })),
  { factor: 60, symbol: 'min' },
  { factor: 3600, symbol: 'h' },
  { factor: 86_400, symbol: 'd' },
];

/** How a unit is written and scaled, without what it is per. */
const ALIASES: Readonly<Record<string, string>> = {
  '1': '',
  By: 'bytes',
  B: 'bytes',
  byte: 'bytes',
  s: 'seconds',
  second: 'seconds',
  '%': 'percent',
  Hz: 'hertz',
  C: 'celsius',
  Cel: 'celsius',
  V: 'volts',
  A: 'amperes',
  W: 'watts',
  J: 'joules',
};

const SYMBOLS: Readonly<Record<string, string>> = {
  hertz: 'Hz',
  volts: 'V',
  amperes: 'A',
  watts: 'W',
  joules: 'J',
  meters: 'm',
  grams: 'g',
  bits: 'bit',
};

/** The format of a unit, or of its rate with `perSecond`. */
export function formatOf(unit: string, perSecond = false, decimals?: number): Format {
  const scaled = (ladder: readonly Step[], symbol: string, options: Options = {}): Format =>
    scale(ladder, symbol, { ...options, decimals });
  const percent = (suffix: string): Format => scaled([{ factor: 1, symbol: '' }], `%${suffix}`);
  const [, stem, per] = /^(.*?)(_?per_second|\/s)?$/.exec(printable(unit))!;
  const base = ALIASES[stem!] ?? stem!;
  const suffix =
    (per === undefined ? '' : '/s') + (perSecond ? (per === undefined ? '/s' : '²') : '');
  switch (base) {
    case 'bytes':
      return scaled(IEC, `B${suffix}`, { base: 1024 });
    case 'seconds':
      // Seconds per second are a share of time: two busy cores are 200 %.
      return suffix === ''
        ? scaled(SECONDS, '', { ownSymbols: true })
        : suffix === '/s'
          ? times(percent(''), 100)
          : scaled(SI_UP, `s${suffix}`);
    case 'milliseconds':
    case 'ms':
      return suffix === ''
        ? times(scaled(SECONDS, '', { ownSymbols: true }), 1e-3)
        : scaled(SI_UP, `ms${suffix}`);
    case 'timestamp_seconds':
    case 'unixtime':
      return suffix === '' ? moments : scaled(SI_UP, `s${suffix}`);
    case 'ratio':
      return suffix === '' ? times(percent(''), 100, [0, 1]) : times(percent(suffix), 100);
    case 'percent':
      return suffix === '' ? { ...percent(''), bounds: [0, 100] } : percent(suffix);
    case 'celsius':
      return scaled([{ factor: 1, symbol: '' }], `°C${suffix}`);
    case '':
      return scaled(SI_UP, suffix);
    default: {
      const symbol = SYMBOLS[base];
      return symbol === undefined
        ? scaled(SI_UP, `${base}${suffix}`)
        : scaled(SI, `${symbol}${suffix}`);
    }
  }
}

/** Shows Unix seconds as dates and times. */
const moments: Format = {
  value: (value) => (Number.isFinite(value) ? formatMoment(value * 1000) : '–'),
  ticks: (values) => formatMoments(values.map((value) => value * 1000)),
  base: 60,
  bounds: null,
};

interface Options {
  readonly base?: 10 | 1024;
  readonly ownSymbols?: boolean;
  /** Digits behind the point; three in all if left out. */
  readonly decimals?: number | undefined;
}

function scale(ladder: readonly Step[], unit: string, options: Options = {}): Format {
  const write = (text: string, step: Step): string => {
    const end = options.ownSymbols ? step.symbol : `${step.symbol}${unit}`;
    return end === '' ? text : `${text}\u202f${end}`;
  };
  return {
    value(value) {
      if (!Number.isFinite(value)) {
        return '–';
      }
      const step = stepFor(ladder, Math.abs(value));
      // A whole number is written without decimals.
      const whole = step.factor === 1 && Number.isInteger(value);
      const { decimals } = options;
      return write(
        decimals !== undefined
          ? (value / step.factor).toFixed(decimals)
          : whole
            ? String(value)
            : digits(value / step.factor),
        step,
      );
    },
    ticks(values) {
      const most = Math.max(...values.map(Math.abs), 0);
      const step = stepFor(ladder, most);
      const spacing = values.length > 1 ? Math.abs(values[1]! - values[0]!) / step.factor : 1;
      // As many decimals as the step has, which is a round number.
      let decimals = 0;
      while (decimals < 6 && Math.abs(round(spacing, decimals) - spacing) > spacing * 1e-3) {
        decimals += 1;
      }
      return values.map((value) =>
        value === 0 ? '0' : write((value / step.factor).toFixed(decimals), step),
      );
    },
    base: options.base ?? 10,
    bounds: null,
  };
}

/** The same format for values that are multiplied first. */
function times(format: Format, factor: number, bounds: Format['bounds'] = null): Format {
  return {
    value: (value) => format.value(value * factor),
    ticks: (values) => format.ticks(values.map((value) => value * factor)),
    base: format.base,
    bounds,
  };
}

function stepFor(ladder: readonly Step[], magnitude: number): Step {
  const plain = ladder.find(({ factor }) => factor === 1) ?? ladder[0]!;
  if (magnitude === 0) {
    return plain;
  }
  // 999.95 would be written 1000, so it takes the next prefix.
  return ladder.findLast(({ factor }) => magnitude * 1.0005 >= factor) ?? ladder[0]!;
}

function digits(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude === 0) {
    return '0';
  }
  if (magnitude >= 1e6 || magnitude < 1e-4) {
    return value.toExponential(2);
  }
  const decimals = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2;
  if (magnitude < 0.1) {
    return String(Number(value.toPrecision(2)));
  }
  return value.toFixed(decimals);
}

function round(value: number, decimals: number): number {
  return Math.round(value * 10 ** decimals) / 10 ** decimals;
}
