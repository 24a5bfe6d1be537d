import { strokeOf } from '../chart/palette.ts';
import { look } from '../chart/theme.ts';
import type { Colour } from '../store/panel.ts';

/** A short piece of a line, as it is drawn in its chart. */
export function Swatch({ colour }: { readonly colour: Colour }) {
  const { stroke, dash } = strokeOf(colour, look.value);
  return (
    <svg viewBox="0 0 18 8" aria-hidden="true">
      <line
        x1="1"
        x2="17"
        y1="4"
        y2="4"
        stroke={stroke}
        stroke-width="2.5"
        stroke-dasharray={dash.join(' ')}
      />
    </svg>
  );
}
