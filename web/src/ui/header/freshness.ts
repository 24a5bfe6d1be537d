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
 * Have the whole page show that it isn't fresh, wherever a value stands, and its tab as well: a wall
 * has no header, and a tab in the background only its title.
 */
export function showFreshness({ freshness }: Dashboard): void {
  effect(() => {
    document.body.dataset.freshness = freshness.value;
    mark(freshness.value);
  });
  // Titles are given by whatever is shown; the mark stays before them.
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
