import { bandsOf } from '../../chart/styled/bands.ts';
import type { Threshold } from '../../panels/model.ts';

interface DialProps {
  readonly name: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly thresholds: readonly Threshold[];
  /** The threshold that the value has reached; none while it isn't fresh. */
  readonly level: Threshold['level'] | null;
  readonly fresh: boolean;
  /** Of the value, where it has one of its own. */
  readonly colour: string | undefined;
  readonly text: string;
  readonly ends: readonly string[];
}

/** Degrees of the arc, which is open at the bottom. */
const ARC = 240;
const RADIUS = 40;
const BANDS = 47;

/**
 * Shows a value between two bounds as an arc, with the thresholds around it. It fills its place.
 */
export function Dial(props: DialProps) {
  const { name, value, min, max, thresholds, level, fresh, colour, text, ends } = props;
  const share = (at: number): number => Math.min(1, Math.max(0, (at - min) / (max - min)));
  return (
    // biome-ignore lint/a11y/useSemanticElements: a <meter> can't show thresholds, nor fill a panel.
    <svg
      class={`dial ${fresh ? (level ?? 'well') : 'silent'}`}
      viewBox="-56 -54 112 88"
      preserveAspectRatio="xMidYMax"
      role="meter"
      aria-label={name}
      aria-valuemin={min}
      aria-valuemax={max}
      aria-valuenow={Math.min(max, Math.max(min, value))}
      aria-valuetext={[text, level].filter(Boolean).join(', ')}
    >
      <path class="track" d={arc(RADIUS, 0, 1)} />
      <path class="reached" style={{ stroke: colour }} d={arc(RADIUS, 0, share(value))} />
      {bandsOf(thresholds, min, max).map(({ level: band, from, to }) => (
        <path key={`${from}`} class={`band ${band}`} d={arc(BANDS, share(from), share(to))} />
      ))}
      <text class="value" y="4" style={{ fill: colour }}>
        {text}
      </text>
      <text class="end" x="-30" y="32">
        {ends[0]}
      </text>
      <text class="end" x="30" y="32">
        {ends[1]}
      </text>
    </svg>
  );
}

/** The path from one share of the arc to another. */
export function arc(radius: number, from: number, to: number): string {
  const point = (share: number): string => {
    const angle = ((share * ARC - 90 - ARC / 2) * Math.PI) / 180;
    return `${(radius * Math.cos(angle)).toFixed(2)} ${(radius * Math.sin(angle)).toFixed(2)}`;
  };
  const large = (to - from) * ARC > 180 ? 1 : 0;
  return `M${point(from)}A${radius} ${radius} 0 ${large} 1 ${point(to)}`;
}
