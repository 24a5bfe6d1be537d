import { effect } from '@preact/signals';
import { printing } from '../chart/theme.ts';
import { selectorOf } from '../dashboards/sight.ts';
import { printable } from '../format/printable.ts';
import { formatMoment, formatSpan } from '../format/time.ts';
import { collapsed, hidden } from '../panels/arrangement.ts';
import { matching } from '../panels/search.ts';
import type { Dashboard } from '../state/dashboard.ts';
import type { Panel } from '../store/panel.ts';

/** The points of a line that are enough on paper. */
const POINTS = 200;
/** The most metrics, and characters of selectors, of one request. */
const MOST_NAMES = 40;
const MOST_CHARACTERS = 2_000;
const UNLOADED =
  'Not loaded, as it was out of sight. Ctrl+P on the page (Cmd+P on a Mac) fetches all of it first, ' +
  'which the browser’s menu can’t.';

/** Prints all charts, also those out of sight, with the colours and size for paper. */
export function preparePrint(dashboard: Dashboard): void {
  let first = true;
  effect(() => {
    if (printing.value) {
      const span = formatSpan(dashboard.time.windowMs.peek());
      // Paper is read later, so it says when and where it was printed.
      const bar = document.querySelector<HTMLElement>('.bar');
      bar?.setAttribute('data-printed', `${span} until ${formatMoment(dashboard.time.edge)}`);
      markUnloaded(dashboard);
    }
    if (!first || printing.value) {
      // Twice, because the first drawing determines the width of the axes.
      dashboard.painter.paintAll();
      dashboard.painter.paintAll();
    }
    first = false;
  });
  // Not all browsers apply the print style before they draw.
  addEventListener('beforeprint', () => {
    printing.value = true;
  });
  addEventListener('afterprint', () => {
    printing.value = false;
  });
  let busy = false;
  document.addEventListener('keydown', (event) => {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    if (key.toLowerCase() !== 'p' || !(ctrlKey || metaKey) || altKey || shiftKey) {
      return;
    }
    if (busy) {
      event.preventDefault();
    } else if (lacking(dashboard).length > 0) {
      // A browser prints at once, so what is missing has to be fetched before it is asked to.
      event.preventDefault();
      busy = true;
      void fetchAndPrint(dashboard).finally(() => {
        busy = false;
      });
    }
  });
}

/**
 * Panels on the page of all metrics whose series aren't asked for, because they were never in
 * sight.
 */
function lacking(dashboard: Dashboard): Panel[] {
  return dashboard.partial.peek()
    ? matching(dashboard.panels.peek(), dashboard.filter.peek()).filter(
        ({ key, members }) =>
          !hidden.has(key) &&
          !collapsed.has(key) &&
          members.some(({ series }) => !series.watched && !series.gone),
      )
    : [];
}

/** Says in the place of a chart why it is empty: it was never in sight. */
function markUnloaded(dashboard: Dashboard): void {
  const names = new Set(
    lacking(dashboard)
      .filter(({ members }) => members.every(({ series }) => series.latest === undefined))
      .map(({ name }) => printable(name)),
  );
  for (const article of document.querySelectorAll<HTMLElement>('.grid > article')) {
    const title = article.querySelector('h3')?.title;
    if (title !== undefined && names.has(title)) {
      article.dataset.unloaded = UNLOADED;
    } else {
      delete article.dataset.unloaded;
    }
  }
}

/** Fetch the past of the panels out of sight, some metrics at a time, and then print. */
async function fetchAndPrint(dashboard: Dashboard): Promise<void> {
  const names = [...new Set(lacking(dashboard).map(({ name }) => name))];
  const ending = new AbortController();
  const { signal } = ending;
  const progress = announce(() => ending.abort());
  try {
    for (let at = 0; at < names.length && !signal.aborted; ) {
      progress.say(`Fetching what is out of sight, to print it: ${at} of ${names.length} metrics`);
      const some = names.slice(at, at + MOST_NAMES);
      while (some.length > 1 && selectorOf(some).length > MOST_CHARACTERS) {
        some.pop();
      }
      await fetchPast(dashboard, some);
      at += some.length;
    }
  } catch (error) {
    if (!signal.aborted) {
      // Missing panels are marked on paper, too.
      dashboard.history.notice.value = `Not all could be fetched to be printed: ${(error as Error).message}`;
    }
  } finally {
    progress.end();
  }
  if (!signal.aborted) {
    await writeAnew(dashboard);
    print();
  }
}

/** Update the values that are text, which depend on the time that is shown. */
async function writeAnew({ time: { now, edge } }: Dashboard): Promise<void> {
  for (const time of [edge - 1, edge]) {
    now.value = time;
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** Fetches the visible span of the series that were never in sight. */
async function fetchPast(dashboard: Dashboard, names: readonly string[]): Promise<void> {
  const { store } = dashboard;
  const { edge, windowMs } = dashboard.time;
  const span = windowMs.peek();
  const found = await dashboard.history.past(span, POINTS, Math.ceil(edge), [selectorOf(names)]);
  const unwatched = found.filter(({ name, labels }) => {
    const series = store.find(name, labels);
    return series !== undefined && !series.watched;
  });
  for (const { name, labels, points } of unwatched) {
    const series = store.find(name, labels)!;
    // Points from an earlier time in sight would be followed by a gap.
    series.forget();
    // No live sample has arrived that tells the usual interval.
    series.interval ||= usualStep(points.map(([time]) => time));
  }
  store.backfill(unwatched, (4 * span) / POINTS);
  store.refine(unwatched, edge - span, edge);
}

function usualStep(times: readonly number[]): number {
  const steps = times.slice(1).map((time, at) => time - times[at]!);
  return steps.sort((a, b) => a - b)[steps.length >> 1] ?? 0;
}

/** Shows the progress, with a button to cancel. */
function announce(onCancel: () => void): { say(text: string): void; end(): void } {
  const box = document.createElement('div');
  const words = document.createElement('p');
  const cancel = document.createElement('button');
  box.className = 'news';
  words.setAttribute('role', 'status');
  cancel.type = 'button';
  cancel.textContent = 'Cancel';
  const press = ({ key }: KeyboardEvent): void => {
    if (key === 'Escape') {
      onCancel();
    }
  };
  cancel.addEventListener('click', onCancel);
  document.addEventListener('keydown', press);
  box.append(words, cancel);
  document.body.append(box);
  return {
    say: (text) => {
      words.textContent = text;
    },
    end: () => {
      document.removeEventListener('keydown', press);
      box.remove();
    },
  };
}
