import { effect } from '@preact/signals';
import { printing } from '../chart/theme.ts';
import { selectorOf } from '../dashboards/sight.ts';
import { printable } from '../format/printable.ts';
import { formatMoment, formatSpan } from '../format/time.ts';
import { collapsed, hidden } from '../panels/arrangement.ts';
import { matching } from '../panels/search.ts';
import type { Dashboard } from '../state/dashboard.ts';
import type { Panel } from '../store/panel.ts';

/** Points of a line that are enough on paper. */
const POINTS = 200;
/** Metrics, and characters of a selector, that are asked for at once. */
const MOST_NAMES = 40;
const MOST_CHARACTERS = 2_000;
const UNLOADED =
  'Not loaded, as it was out of sight. Ctrl+P on the page (Cmd+P on a Mac) fetches all of it first, ' +
  'which the browser’s menu can’t.';

/** Have all charts on paper, those out of sight too, in colours and a size that are for it. */
export function preparePrint(dashboard: Dashboard): void {
  let first = true;
  effect(() => {
    if (printing.value) {
      const span = formatSpan(dashboard.time.windowMs.peek());
      // A paper is read later: it says what it is of.
      const bar = document.querySelector<HTMLElement>('.bar');
      bar?.setAttribute('data-printed', `${span} until ${formatMoment(dashboard.time.edge)}`);
      markUnloaded(dashboard);
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
  let busy = false;
  document.addEventListener('keydown', (event) => {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    if (key.toLowerCase() !== 'p' || !(ctrlKey || metaKey) || altKey || shiftKey) {
      return;
    }
    if (busy) {
      event.preventDefault();
    } else if (lacking(dashboard).length > 0) {
      // A browser prints what there is at once: what is missing has to come before it is asked to.
      event.preventDefault();
      busy = true;
      void fetchAndPrint(dashboard).finally(() => {
        busy = false;
      });
    }
  });
}

/** Panels on the page of all metrics that aren't asked for, as nobody has looked at them. */
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

/** Say in the place of a picture that is empty for want of looking why it is. */
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

/** Fetch the past of what is out of sight, some metrics after the other, and print then. */
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
      // What is missing says so on paper too.
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

/** Have values that are text written again: they are when the time that is shown becomes another. */
async function writeAnew({ time: { now, edge } }: Dashboard): Promise<void> {
  for (const time of [edge - 1, edge]) {
    now.value = time;
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** The past that is shown, of what nobody has looked at. */
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
    // What is left of an earlier look would lie before a gap.
    series.forget();
    // Nothing has come live that would say what is one.
    series.interval ||= usualStep(points.map(([time]) => time));
  }
  store.backfill(unwatched, (4 * span) / POINTS);
  store.refine(unwatched, edge - span, edge);
}

function usualStep(times: readonly number[]): number {
  const steps = times.slice(1).map((time, at) => time - times[at]!);
  return steps.sort((a, b) => a - b)[steps.length >> 1] ?? 0;
}

/** Say what goes on, with a way to have it not go on. */
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
