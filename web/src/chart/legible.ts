/** Makes any colour one that can be told from the ground of the page's theme. */

import { DARK } from './palette.ts';

/** What lines and areas need against their ground (WCAG 1.4.11), */
export const SEEN = 3;
/** and text (WCAG 1.4.3). */
export const READ = 4.5;

type Channels = readonly [number, number, number];

const WHITE: Channels = [255, 255, 255];
const BLACK: Channels = [0, 0, 0];
/** The surface of panels in the dark theme. */
const GROUND: Channels = [0x15, 0x1b, 0x22];
const STEPS = 20;
/** The most colours that are remembered: charts ask for them whenever they are painted. */
const MOST_KNOWN = 1_000;

const known = new Map<string, string>();

/**
 * A colour as #rrggbb in the theme that has these colours of lines: itself, or as much darker or
 * lighter as it takes to have this contrast with the ground.
 */
export function legible(colour: string, lines: readonly string[], ratio: number): string {
  const dark = lines === DARK.lines;
  const key = `${colour} ${dark} ${ratio}`;
  let found = known.get(key);
  if (found === undefined) {
    if (known.size >= MOST_KNOWN) {
      known.clear();
    }
    found = shifted(colour, dark, ratio);
    known.set(key, found);
  }
  return found;
}

function shifted(colour: string, dark: boolean, ratio: number): string {
  const [ground, towards] = dark ? [GROUND, WHITE] : [WHITE, BLACK];
  const own = channelsOf(colour);
  for (let step = 0; ; step += 1) {
    const share = step / STEPS;
    const mixed = own.map((one, at) => one + (towards[at]! - one) * share) as unknown as Channels;
    if (step === STEPS || contrast(mixed, ground) >= ratio) {
      return `#${mixed.map((one) => Math.round(one).toString(16).padStart(2, '0')).join('')}`;
    }
  }
}

/** Black or white, whichever is read better on a colour. */
export function inkOn(colour: string): string {
  const own = channelsOf(colour);
  return contrast(own, WHITE) > contrast(own, BLACK) ? '#ffffff' : '#000000';
}

function channelsOf(colour: string): Channels {
  return [1, 3, 5].map((at) =>
    Number.parseInt(colour.slice(at, at + 2), 16),
  ) as unknown as Channels;
}

/** The contrast of two colours, from 1 to 21. */
export function contrast(a: Channels, b: Channels): number {
  const [low, high] = [luminance(a), luminance(b)].sort((one, other) => one - other);
  return (high! + 0.05) / (low! + 0.05);
}

function luminance(channels: Channels): number {
  const [red, green, blue] = channels.map((one) => {
    const share = one / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}
