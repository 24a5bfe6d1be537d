import { effect } from '@preact/signals';
import type { Painter } from './chart/painter.ts';
import { printing } from './theme.ts';

/** Have all charts on paper, those out of sight too, and in colours that are for it. */
export function preparePrint(painter: Painter): void {
  effect(() => {
    if (printing.value) {
      painter.paintAll();
    }
  });
  addEventListener('beforeprint', () => {
    printing.value = true;
    painter.paintAll();
  });
  addEventListener('afterprint', () => {
    printing.value = false;
  });
}
