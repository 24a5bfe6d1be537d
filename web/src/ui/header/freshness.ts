import { effect } from '@preact/signals';
import type { Dashboard, Freshness } from '../../state/dashboard.ts';

const MARKS: Readonly<Record<Freshness, string>> = {
  connecting: '',
  live: '',
  stale: 'Stale · ',
  cut: 'Cut · ',
  refused: 'Refused · ',
};

/**
 * Show on the whole page, and in the title of its tab, that it isn't fresh: in kiosk mode there is
 * no header, and of a tab in the background one sees only the title.
 */
export function showFreshness({ freshness }: Dashboard): void {
  effect(() => {
    document.body.dataset.freshness = freshness.value;
    mark(freshness.value);
  });
  // Other code sets the title; the mark stays in front of it.
  new MutationObserver(() => mark(freshness.peek())).observe(document.querySelector('title')!, {
    childList: true,
  });
}

function mark(freshness: Freshness): void {
  const plain = document.title.replace(/^(?:Stale|Cut|Refused) · /, '');
  const marked = MARKS[freshness] + plain;
  if (document.title !== marked) {
    document.title = marked;
  }
}
