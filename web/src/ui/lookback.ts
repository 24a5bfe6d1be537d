import type { Dashboard } from '../dashboard.ts';

/** CSS pixels that a pointer may tremble during a click. */
const TREMBLE = 4;

/**
 * Move through time on a chart: drag it, or turn the wheel sideways (with Shift, any wheel). A drag
 * with Shift marks the time to zoom into. Touch scrolls the page up and down as ever. What is no
 * drag is a click.
 */
export function lookBack(
  over: HTMLElement,
  dashboard: Dashboard,
  { timeAt, click }: { timeAt: (left: number) => number; click: (left: number) => void },
): void {
  const perPixel = (): number => dashboard.windowMs.peek() / Math.max(1, over.clientWidth);
  over.style.touchAction = 'pan-y';
  over.addEventListener(
    'wheel',
    (event) => {
      const by = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
      if (by !== 0 && Math.abs(by) >= Math.abs(event.shiftKey ? 0 : event.deltaY)) {
        event.preventDefault();
        dashboard.shift(by * perPixel());
      }
    },
    { passive: false },
  );
  over.addEventListener('pointerdown', (down) => {
    if (down.button !== 0) {
      return;
    }
    const ending = new AbortController();
    const { signal } = ending;
    const brush = down.shiftKey ? document.createElement('div') : null;
    const { left } = over.getBoundingClientRect();
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
          dashboard.shift((last - clientX) * perPixel());
          last = clientX;
        } else {
          brush.className = 'brush';
          brush.style.left = `${Math.min(down.clientX, clientX) - left}px`;
          brush.style.width = `${Math.abs(clientX - down.clientX)}px`;
          over.append(brush);
        }
      },
      { signal },
    );
    const end = (): void => {
      brush?.remove();
      ending.abort();
    };
    over.addEventListener(
      'pointerup',
      ({ clientX }) => {
        end();
        if (!moved) {
          click(clientX - left);
        } else if (brush !== null) {
          const [from, to] = [down.clientX, clientX].sort((a, b) => a - b);
          dashboard.zoom(timeAt(from! - left), timeAt(to! - left));
        }
      },
      { signal },
    );
    over.addEventListener('pointercancel', end, { signal });
  });
}
