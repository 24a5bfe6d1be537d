import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Canvas, Painter } from '../../src/chart/painter.ts';
import type { Panel } from '../../src/store/panel.ts';

/** Milliseconds that painting took, by a clock that else stands still in a frame. */
let spent = 0;

beforeEach(() => {
  spent = 0;
  vi.useFakeTimers();
  const begun = Date.now();
  vi.stubGlobal('performance', { now: () => Date.now() - begun + spent });
  vi.stubGlobal('requestAnimationFrame', (frame: FrameRequestCallback) =>
    setTimeout(() => frame(performance.now()), 16),
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const PANEL = { sources: new Set<Panel>() } as unknown as Panel;

class Sketch implements Canvas {
  readonly panel = PANEL;
  inSight = true;
  rest = 100;
  moves = Number.POSITIVE_INFINITY;
  painted: number[] = [];
  private readonly takes: number;

  constructor(takes = 0) {
    this.takes = takes;
  }

  paint(): void {
    this.painted.push(Date.now());
    spent += this.takes;
  }

  refit(): void {}
}

test('paints what is new in the next frame, and then rests', () => {
  const painter = new Painter();
  const sketch = new Sketch();
  painter.add(sketch);
  vi.advanceTimersByTime(20);
  expect(sketch.painted.length).toBe(1);
  for (let n = 0; n < 50; n += 1) {
    painter.dirtyAll();
    vi.advanceTimersByTime(10);
  }
  expect(sketch.painted.length).toBeGreaterThanOrEqual(5);
  expect(sketch.painted.length).toBeLessThanOrEqual(6);
});

test('paints at once what somebody waits to see', () => {
  const painter = new Painter();
  const sketch = new Sketch();
  sketch.rest = 10_000;
  painter.add(sketch);
  vi.advanceTimersByTime(20);
  painter.dirtyAll();
  vi.advanceTimersByTime(1_000);
  expect(sketch.painted.length).toBe(1);
  painter.redraw(sketch);
  vi.advanceTimersByTime(20);
  expect(sketch.painted.length).toBe(2);
});

test('paints what is out of sight when it is seen', () => {
  const painter = new Painter();
  const sketch = new Sketch();
  sketch.inSight = false;
  painter.add(sketch);
  painter.dirtyAll();
  vi.advanceTimersByTime(1_000);
  expect(sketch.painted).toEqual([]);
  sketch.inSight = true;
  painter.redraw(sketch);
  vi.advanceTimersByTime(20);
  expect(sketch.painted.length).toBe(1);
});

test('forgets what is taken away', () => {
  const painter = new Painter();
  const sketch = new Sketch();
  const remove = painter.add(sketch);
  remove();
  painter.redraw(sketch);
  vi.advanceTimersByTime(1_000);
  expect(sketch.painted).toEqual([]);
});

test('spreads what takes long over frames, but for what somebody waits to see', () => {
  const painter = new Painter();
  const sketches = [new Sketch(5), new Sketch(5), new Sketch(5), new Sketch(5)];
  for (const sketch of sketches) {
    painter.add(sketch);
  }
  const last = () => new Set(sketches.map(({ painted }) => painted.at(-1)));
  vi.advanceTimersByTime(1_000);
  expect(last().size).toBe(1);
  painter.dirtyAll();
  vi.advanceTimersByTime(1_000);
  expect(sketches.map(({ painted }) => painted.length)).toEqual([2, 2, 2, 2]);
  expect(last().size).toBe(2);
});

test('waits for the past to be whole, though not for ever, and then draws at once', () => {
  const painter = new Painter();
  const sketch = new Sketch();
  sketch.rest = 10_000;
  painter.add(sketch);
  for (let n = 0; n < 10; n += 1) {
    painter.hold();
    vi.advanceTimersByTime(10);
  }
  expect(sketch.painted.length).toBe(0);
  vi.advanceTimersByTime(60);
  expect(sketch.painted.length).toBe(1);
  // Whatever rested since the last picture: this is the past of a reconnect.
  painter.hold();
  vi.advanceTimersByTime(60);
  expect(sketch.painted.length).toBe(2);
  // It never ends: what there is, is drawn.
  for (let n = 0; n < 100; n += 1) {
    painter.hold();
    vi.advanceTimersByTime(10);
  }
  expect(sketch.painted.length).toBeGreaterThan(3);
});

test('moves a picture by each pixel without any news, and less often when that is dear', () => {
  const painter = new Painter();
  const cheap = new Sketch(0.5);
  cheap.moves = 50;
  painter.add(cheap);
  vi.advanceTimersByTime(2_000);
  expect(cheap.painted.length).toBeGreaterThan(25);
  const dear = new Sketch(20);
  dear.moves = 50;
  painter.add(dear);
  vi.advanceTimersByTime(4_000);
  dear.painted = [];
  vi.advanceTimersByTime(4_000);
  expect(dear.painted.length).toBeGreaterThan(4);
  expect(dear.painted.length).toBeLessThan(40);
  // Held, it stands.
  cheap.moves = Number.POSITIVE_INFINITY;
  dear.moves = Number.POSITIVE_INFINITY;
  vi.advanceTimersByTime(1_000);
  cheap.painted = [];
  vi.advanceTimersByTime(2_000);
  expect(cheap.painted).toEqual([]);
});
