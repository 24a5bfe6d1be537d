/**
 * What is drawn with. The colours of lines were found by computation, which `test/palette.test.ts`
 * repeats: at least 11 by CIEDE2000 between any two, for usual eyes and the three sorts of
 * colour-blind ones, with a contrast of 3:1 on the ground. From the ninth on lines are dashed.
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

/** How a line is drawn: colours first, then the same again in dashes. */
export function strokeOf(colour: number, look: Look): { stroke: string; dash: readonly number[] } {
  const count = look.lines.length;
  return {
    stroke: look.lines[colour % count]!,
    dash: DASHES[Math.floor(colour / count) % DASHES.length]!,
  };
}
