import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { WINDOWS } from '../../dashboards/windows.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import { later } from '../later.tsx';

/** The keys of the page, and the dialog that lists them. */
export function Keys({ dashboard }: { dashboard: Dashboard }) {
  const asked = useSignal(false);
  const close = (): void => {
    asked.value = false;
  };
  useEffect(() => {
    // What a tap showed disappears after a tap elsewhere.
    const tap = ({ pointerType, target }: PointerEvent): void => {
      if (pointerType === 'touch' && (target as Element).closest('.chart') === null) {
        dashboard.hover.value = null;
      }
    };
    document.addEventListener('pointerdown', tap);
    return () => document.removeEventListener('pointerdown', tap);
  }, [dashboard]);
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      const taken = target.closest('input, select, textarea, dialog, [contenteditable]') !== null;
      // Space on a button presses that button.
      const pressing = event.key === ' ' && target.closest('button, a, summary') !== null;
      if (taken || pressing || event.ctrlKey || event.metaKey || event.altKey) {
        return;
      }
      if (event.key === '?') {
        asked.value = true;
      } else if (!act(event.key, dashboard)) {
        return;
      }
      event.preventDefault();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, [dashboard]);
  return asked.value && <Sheet onClose={close} />;
}

const Sheet = later(
  () => import('./sheet.tsx'),
  ({ Sheet }) => Sheet,
);

/** Do what a key is for; false if it is for nothing. */
function act(key: string, dashboard: Dashboard): boolean {
  const span = dashboard.time.windowMs.peek();
  switch (key) {
    case ' ':
      if (dashboard.time.heldAt.peek() === null) {
        dashboard.time.pause();
      } else {
        dashboard.time.resume();
      }
      return true;
    case '0':
      dashboard.time.resume();
      return true;
    case 'ArrowLeft':
      dashboard.time.shift(-span / 8);
      return true;
    case 'ArrowRight':
      dashboard.time.shift(span / 8);
      return true;
    case '+':
    case '-': {
      const next =
        key === '+' ? WINDOWS.findLast(({ ms }) => ms < span) : WINDOWS.find(({ ms }) => ms > span);
      if (next !== undefined) {
        dashboard.time.choose(next.ms);
      }
      return true;
    }
    case 'Escape':
      // A pin is removed first.
      return document.querySelector('.pin') === null && dashboard.time.zoomOut();
    case '/':
      document.querySelector<HTMLElement>('.filter')?.focus();
      return true;
    default:
      return false;
  }
}
