import { loadPart } from '../../browser/part.ts';
import type { Dashboard } from '../../state/dashboard.ts';

/** CSS pixels that a pointer may move during a click. */
const TREMBLE = 4;

/**
 * Moves through time on a chart. A drag selects the time to zoom into, and a double click goes
 * back. A drag with Shift, a finger, the horizontal wheel, and any wheel with Shift move the
 * picture. Two fingers zoom in and out. A vertical touch scrolls the page. A press without a drag
 * is a click or a tap.
 */
export function lookBack(
  over: HTMLElement,
  dashboard: Dashboard,
  {
    timeAt,
    click,
    tap,
  }: {
    timeAt: (left: number) => number;
    click: (left: number) => void;
    tap: (left: number, top: number) => void;
  },
): void {
  const perPixel = (): number => dashboard.time.windowMs.peek() / Math.max(1, over.clientWidth);
  over.addEventListener('dragstart', (event) => event.preventDefault());
  over.addEventListener(
    'wheel',
    (event) => {
      const by = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
      if (by !== 0 && Math.abs(by) >= Math.abs(event.shiftKey ? 0 : event.deltaY)) {
        event.preventDefault();
        dashboard.time.shift(by * perPixel());
      }
    },
    { passive: false },
  );
  over.addEventListener('dblclick', () => dashboard.time.zoomOut());
  if (navigator.maxTouchPoints > 0) {
    void loadPart(() => import('./pinch.ts')).then(({ pinch }) => pinch(over, dashboard, timeAt));
  }
  over.addEventListener('pointerdown', (down) => {
    if (down.button !== 0 || !down.isPrimary) {
      return;
    }
    const ending = new AbortController();
    const { signal } = ending;
    const moves = down.shiftKey || down.pointerType === 'touch';
    const brush = moves ? null : document.createElement('div');
    const { left, top, width } = over.getBoundingClientRect();
    const inside = (x: number): number => Math.min(width, Math.max(0, x - left));
    let last = down.clientX;
    let moved = false;
    over.setPointerCapture(down.pointerId);
    over.addEventListener(
      'pointermove',
      ({ clientX }) => {
        moved ||= Math.abs(clientX - down.clientX) > TREMBLE;
        if (!moved) {
          return;
        }
        if (brush === null) {
          dashboard.time.shift((last - clientX) * perPixel());
          last = clientX;
        } else {
          brush.className = 'brush';
          const [from, to] = [inside(down.clientX), inside(clientX)].sort((a, b) => a - b);
          brush.style.left = `${from}px`;
          brush.style.width = `${to! - from!}px`;
          over.append(brush);
        }
      },
      { signal },
    );
    const end = (): void => {
      brush?.remove();
      ending.abort();
    };
    // Two fingers are neither a drag nor a tap.
    over.addEventListener('pinch', end, { signal });
    over.addEventListener(
      'pointerup',
      ({ clientX, clientY }) => {
        end();
        if (!moved && down.pointerType === 'touch') {
          tap(clientX - left, clientY - top);
        } else if (!moved) {
          click(clientX - left);
        } else if (brush !== null) {
          const [from, to] = [inside(down.clientX), inside(clientX)].sort((a, b) => a - b);
          dashboard.time.zoom(timeAt(from!), timeAt(to!));
        }
      },
      { signal },
    );
    over.addEventListener('pointercancel', end, { signal });
    // Escape cancels the drag.
    document.addEventListener(
      'keydown',
      (event) => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          end();
        }
      },
      { signal, capture: true },
    );
  });
}
