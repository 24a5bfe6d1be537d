import type { Dashboard } from '../../state/dashboard.ts';

/** Fingers that are nearer to each other than this many CSS pixels don't zoom any further. */
const LEAST_APART = 24;

/**
 * Zooms with two fingers: the times under them at the start stay under them. However long it takes,
 * it is one zoom, undone by one step back.
 */
export function pinch(
  over: HTMLElement,
  dashboard: Dashboard,
  timeAt: (left: number) => number,
): void {
  /** The horizontal place of each finger, by pointer id. */
  const fingers = new Map<number, number>();
  /** The times under both fingers, the earlier first. */
  let held: readonly [number, number] | null = null;
  let zoomed = false;
  const places = (): readonly [number, number] => {
    const { left } = over.getBoundingClientRect();
    const [first, second] = [...fingers.values()].map((x) => x - left).sort((a, b) => a - b);
    return [first!, second!];
  };
  over.addEventListener('pointerdown', ({ pointerId, pointerType, clientX }) => {
    if (pointerType !== 'touch') {
      return;
    }
    fingers.set(pointerId, clientX);
    if (fingers.size === 2) {
      over.setPointerCapture(pointerId);
      over.dispatchEvent(new Event('pinch'));
      const [first, second] = places();
      held = second - first < LEAST_APART ? null : [timeAt(first), timeAt(second)];
      zoomed = false;
    } else {
      held = null;
    }
  });
  over.addEventListener('pointermove', ({ pointerId, clientX }) => {
    if (!fingers.has(pointerId)) {
      return;
    }
    fingers.set(pointerId, clientX);
    if (held === null) {
      return;
    }
    const [first, second] = places();
    const perPixel = (held[1] - held[0]) / Math.max(LEAST_APART, second - first);
    const from = held[0] - first * perPixel;
    const to = from + over.clientWidth * perPixel;
    if (zoomed) {
      dashboard.time.rezoom(from, to);
    } else if (
      Math.abs(perPixel * over.clientWidth - dashboard.time.windowMs.peek()) >
      2 * perPixel
    ) {
      zoomed = true;
      dashboard.time.zoom(from, to);
    }
  });
  const lift = ({ pointerId }: PointerEvent): void => {
    fingers.delete(pointerId);
    held = null;
  };
  over.addEventListener('pointerup', lift);
  over.addEventListener('pointercancel', lift);
}
