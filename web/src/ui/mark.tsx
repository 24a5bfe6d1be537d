import type { Threshold } from '../panels/model.ts';

/** A threshold that was reached, as a shape and a word beside the colour. */
export function Mark({ threshold }: { threshold: Threshold | null }) {
  return threshold === null ? null : (
    <svg
      class={`mark ${threshold.level}`}
      viewBox="0 0 16 16"
      role="img"
      aria-label={threshold.level}
    >
      <path d={threshold.level === 'critical' ? 'M8 1l7 7-7 7-7-7z' : 'M8 2l7 12H1z'} />
    </svg>
  );
}
