import { expect, test } from 'vitest';
import { DARK, LIGHT } from '../../src/chart/palette.ts';

/**
 * How colours look to whom, as matrices on linear RGB: Machado, Oliveira and Fernandes, "A
 * Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), severity 1.
 */
const EYES = {
  usual: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protanopia: [
    0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998,
  ],
  deuteranopia: [
    0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881,
  ],
  tritanopia: [
    1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039,
  ],
} as const;

type Triple = readonly [number, number, number];

function times(m: readonly number[], [a, b, c]: Triple): Triple {
  const row = (at: number): number => m[at]! * a + m[at + 1]! * b + m[at + 2]! * c;
  return [row(0), row(3), row(6)];
}

function linear(hex: string): Triple {
  const part = (at: number): number => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return [part(1), part(3), part(5)];
}

/** CIELAB under D65. */
function lab(rgb: Triple): Triple {
  const clipped = rgb.map((value) => Math.min(1, Math.max(0, value))) as unknown as Triple;
  const [x, y, z] = times(
    [
      0.4124564, 0.3575761, 0.1804375, 0.2126729, 0.7151522, 0.072175, 0.0193339, 0.119192,
      0.9503041,
    ],
    clipped,
  );
  const f = (t: number): number => (t > 216 / 24389 ? Math.cbrt(t) : ((24389 / 27) * t + 16) / 116);
  const [fx, fy, fz] = [f(x / 0.95047), f(y), f(z / 1.08883)];
  return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)];
}

const degrees = (radians: number): number => (radians * 180) / Math.PI;
const cosine = (angle: number): number => Math.cos((angle * Math.PI) / 180);

/** CIEDE2000: Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula" (2005). */
function difference([l1, a1, b1]: Triple, [l2, a2, b2]: Triple): number {
  const mean = (Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2;
  const g = 0.5 * (1 - Math.sqrt(mean ** 7 / (mean ** 7 + 25 ** 7)));
  const [c1, c2] = [Math.hypot((1 + g) * a1, b1), Math.hypot((1 + g) * a2, b2)];
  const hue = (a: number, b: number): number => (degrees(Math.atan2(b, (1 + g) * a)) + 360) % 360;
  const [h1, h2] = [hue(a1, b1), hue(a2, b2)];
  let turn = c1 * c2 === 0 ? 0 : h2 - h1;
  turn = turn > 180 ? turn - 360 : turn < -180 ? turn + 360 : turn;
  const h = c1 * c2 === 0 ? h1 + h2 : h1 + turn / 2;
  const dh = 2 * Math.sqrt(c1 * c2) * Math.sin((turn * Math.PI) / 360);
  const l = (l1 + l2) / 2;
  const c = (c1 + c2) / 2;
  const t =
    1 -
    0.17 * cosine(h - 30) +
    0.24 * cosine(2 * h) +
    0.32 * cosine(3 * h + 6) -
    0.2 * cosine(4 * h - 63);
  const around = ((h + 360) % 360) - 275;
  const rotation =
    -Math.sin((2 * 30 * Math.exp(-((around / 25) ** 2)) * Math.PI) / 180) *
    2 *
    Math.sqrt(c ** 7 / (c ** 7 + 25 ** 7));
  const lightness = (l2 - l1) / (1 + (0.015 * (l - 50) ** 2) / Math.sqrt(20 + (l - 50) ** 2));
  const chroma = (c2 - c1) / (1 + 0.045 * c);
  const hues = dh / (1 + 0.015 * c * t);
  return Math.sqrt(lightness ** 2 + chroma ** 2 + hues ** 2 + rotation * chroma * hues);
}

function contrast(one: string, other: string): number {
  const luminance = (hex: string): number =>
    times([0.2126, 0.7152, 0.0722, 0, 0, 0, 0, 0, 0], linear(hex))[0];
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high! + 0.05) / (low! + 0.05);
}

test('the difference of colours is that of its paper', () => {
  // Of the pairs in its table 1.
  expect(difference([50, 2.6772, -79.7751], [50, 0, -82.7485])).toBeCloseTo(2.0425, 3);
  expect(difference([2.0776, 0.0795, -1.135], [0.9033, -0.0636, -0.5514])).toBeCloseTo(0.9082, 3);
  expect(difference([50, 2.5, 0], [73, 25, -18])).toBeCloseTo(27.1492, 3);
});

// The surface of a panel, and the ground of the page, in each theme.
const THEMES = [
  ['light', LIGHT, ['#ffffff', '#f4f6f8']],
  ['dark', DARK, ['#151b22', '#0d1217']],
] as const;

test.each(THEMES)(
  'any eyes tell the first eight lines apart in the %s theme',
  (_, look, grounds) => {
    const lines = look.lines.slice(0, 8);
    expect(new Set(lines).size).toBe(8);
    for (const [eyes, matrix] of Object.entries(EYES)) {
      const seen = lines.map((hex) => lab(times(matrix, linear(hex))));
      for (let one = 0; one < seen.length; one += 1) {
        for (let other = 0; other < one; other += 1) {
          const pair = `${lines[one]} and ${lines[other]} with ${eyes}`;
          expect(difference(seen[one]!, seen[other]!), pair).toBeGreaterThanOrEqual(11);
        }
      }
    }
    for (const hex of lines) {
      for (const ground of grounds) {
        expect(contrast(hex, ground), `${hex} on ${ground}`).toBeGreaterThanOrEqual(3);
      }
    }
  },
);
