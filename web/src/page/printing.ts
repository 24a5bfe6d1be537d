import { effect } from '@preact/signals';
import { printing } from '../chart/theme.ts';
import { formatMoment, formatSpan } from '../format/time.ts';
import type { Dashboard } from '../state/dashboard.ts';

/** Have all charts on paper, those out of sight too, in colours and a size that are for it. */
export function preparePrint(dashboard: Dashboard): void {
  let first = true;
  effect(() => {
    if (printing.value) {
      const span = formatSpan(dashboard.windowMs.peek());
      // A paper is read later: it says what it is of.
      const bar = document.querySelector<HTMLElement>('.bar');
      bar?.setAttribute('data-printed', `${span} until ${formatMoment(dashboard.edge)}`);
    }
    if (!first || printing.value) {
      // By the second time it is known how wide axes are.
      dashboard.painter.paintAll();
      dashboard.painter.paintAll();
    }
    first = false;
  });
  // Not all browsers follow the medium before they draw.
  addEventListener('beforeprint', () => {
    printing.value = true;
  });
  addEventListener('afterprint', () => {
    printing.value = false;
  });
}
