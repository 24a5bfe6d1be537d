/**
 * Colours of lines, told apart by colour-blind eyes and on both backgrounds: after Okabe and Ito,
 * "Color Universal Design" (2008), lightened or darkened to 3:1 contrast.
 */
export interface Look {
  readonly lines: readonly string[];
  readonly grid: string;
  readonly warning: string;
  readonly critical: string;
  readonly text: string;
}

export const LIGHT: Look = {
  lines: ['#0072b2', '#d55e00', '#00835f', '#b5548f', '#a87800', '#2b8ec7', '#7a5bd0', '#5f6b76'],
  grid: '#e3e7ec',
  warning: '#8a5800',
  critical: '#b3261e',
  text: '#5b6672',
};

export const DARK: Look = {
  lines: ['#56b4e9', '#f0873e', '#1fbf93', '#e08fbf', '#e6b422', '#7f9cf5', '#b794f6', '#a5b1bd'],
  grid: '#242d37',
  warning: '#ecb93f',
  critical: '#ff8a7a',
  text: '#93a0ad',
};

const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

/** How a line is drawn: colours first, then the same again in dashes. */
export function strokeOf(colour: number, look: Look): { stroke: string; dash: readonly number[] } {
  const count = look.lines.length;
  return {
    stroke: look.lines[colour % count]!,
    dash: DASHES[Math.floor(colour / count) % DASHES.length]!,
  };
}
