import type { Dashboard } from '../../state/dashboard.ts';

/** Fingers nearer to each other than so many CSS pixels zoom no further. */
const LEAST_APART = 24;

/**
 * Zoom with two fingers: the times under them when they came down stay under them. It is one zoom,
 * however long it takes, that one goes back from.
 */
export function pinch(
  over: HTMLElement,
  dashboard: Dashboard,
  timeAt: (left: number) => number,
): void {
  /** By pointer, where a finger is across. */
  const fingers = new Map<number, number>();
  /** The times under both, the earlier first. */
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
