/** The address of the page, once it is shown. */

import { type Address, read, write } from '../dashboards/address.ts';
import { EDITED, type View } from './view.ts';

/** Changes within this many milliseconds belong together, such as a drag, or typing a word. */
const ONGOING_MS = 1_500;
/** Browsers allow about a hundred changes of the address in half a minute, and drop more. */
const PACE_MS = 250;

/** Write what is shown into the address, and follow Back and Forward. */
export function followAddress(view: View): void {
  let shown = view.address.peek();
  let changedAt = Number.NEGATIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };
  const replace = (): void => {
    wait();
    history.replaceState(history.state, '', write(view.address.peek()));
  };
  replace();
  view.address.subscribe((next) => {
    const before = shown;
    shown = next;
    if (write(before) === write(next)) {
      return;
    }
    const now = performance.now();
    const ongoing = now - changedAt < ONGOING_MS && goesOn(before, next, view.rezooming);
    changedAt = now;
    if (view.quiet) {
      replace();
    } else if (ongoing) {
      timer ??= setTimeout(replace, PACE_MS);
    } else {
      wait();
      history.replaceState(history.state, '', write(before));
      history.pushState(next.edit ? EDITED : null, '', write(next));
    }
  });
  addEventListener('pagehide', () => {
    if (timer !== undefined) {
      replace();
    }
  });
  addEventListener('popstate', () => {
    wait();
    const next = read(location);
    if (next.name !== view.name.peek() || next.panel !== view.panel || next.kiosk !== view.kiosk) {
      location.reload();
    } else if (view.edit.peek() && !next.edit && view.keepsEditing()) {
      history.forward();
    } else {
      view.quietly(() => view.show(next));
    }
  });
}

/** Whether the second change continues the first. */
function goesOn(before: Address, next: Address, rezooming: boolean): boolean {
  const held = before.held !== null && next.held !== null;
  const panned = held && (rezooming || before.held?.span === next.held?.span);
  const searched = before.search !== '' && next.search !== '';
  const same = { ...next };
  return (
    (panned && write({ ...same, held: before.held }) === write(before)) ||
    (searched && write({ ...same, search: before.search }) === write(before))
  );
}
