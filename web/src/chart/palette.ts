import type { Colour } from '../store/panel.ts';

/**
 * The colours of the charts. Those of lines were found by computation, which
 * `test/chart/palette.test.ts` repeats: the CIEDE2000 difference of any two is at least 11, for
 * usual vision and three kinds of colour blindness, and the contrast with the background is 3:1.
 * From the ninth line on, lines are dashed.
 */
export interface Look {
  readonly lines: readonly string[];
  readonly grid: string;
  readonly warning: string;
  readonly critical: string;
  readonly text: string;
}

export const LIGHT: Look = {
  lines: ['#0f87d2', '#f04b0f', '#00694b', '#874b78', '#b47887', '#4b1e3c', '#0f00ff', '#960000'],
  grid: '#e3e7ec',
  warning: '#8a5800',
  critical: '#b3261e',
  text: '#5b6672',
};

export const DARK: Look = {
  lines: ['#69a5d2', '#f0871e', '#00d296', '#4b785a', '#783cff', '#ffc3e1', '#875a78', '#b44b00'],
  grid: '#242d37',
  warning: '#ecb93f',
  critical: '#ff8a7a',
  text: '#93a0ad',
};

const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

/** How a line is drawn: each colour solid first, then the same colours dashed. */
export function strokeOf(colour: Colour, look: Look): { stroke: string; dash: readonly number[] } {
  if (typeof colour === 'function') {
    return { stroke: colour(look.lines), dash: [] };
  }
  const count = look.lines.length;
  return {
    stroke: look.lines[colour % count]!,
    dash: DASHES[Math.floor(colour / count) % DASHES.length]!,
  };
}
