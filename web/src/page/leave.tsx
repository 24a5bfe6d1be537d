import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { View } from '../state/view.ts';

/** The controls stay for this many milliseconds after the pointer has stopped. */
const STAY_MS = 3_000;

/**
 * The way out of full screen and kiosk mode: Escape, and controls that are visible while a pointer
 * moves or they have the focus. An embedded page has none; the page around it decides.
 */
export function Leave({ view }: { view: View }) {
  const seen = useSignal(true);
  const full = useSignal(document.fullscreenElement !== null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = (): void => {
      seen.value = true;
      clearTimeout(timer);
      timer = setTimeout(() => {
        seen.value = false;
      }, STAY_MS);
    };
    const change = (): void => {
      full.value = document.fullscreenElement !== null;
    };
    const press = (event: KeyboardEvent): void => {
      const { key, target } = event;
      const other = (target as Element).closest('input, select, textarea, dialog') !== null;
      if (event.ctrlKey || event.metaKey || event.altKey || other || event.defaultPrevented) {
        return;
      }
      if (key === 'f') {
        toggle();
      } else if (key === 'Escape' && document.fullscreenElement !== null) {
        void document.exitFullscreen();
      } else if (key === 'Escape' && !pinned) {
        location.assign(wayOut(view));
      }
    };
    // Escape first removes a pin, which is gone when this listener is called.
    let pinned = false;
    const look = (): void => {
      pinned = document.querySelector('.pin') !== null;
    };
    show();
    const ending = new AbortController();
    const { signal } = ending;
    for (const event of ['pointermove', 'pointerdown', 'keydown']) {
      addEventListener(event, show, { signal, passive: true });
    }
    addEventListener('keydown', look, { signal, capture: true });
    addEventListener('keydown', press, { signal });
    document.addEventListener('fullscreenchange', change, { signal });
    return () => {
      clearTimeout(timer);
      ending.abort();
    };
  }, []);
  useEffect(() => {
    document.documentElement.classList.toggle('unattended', !seen.value);
  }, [seen.value]);
  if (window.parent !== window) {
    return null;
  }
  return (
    <nav class={seen.value ? 'leave' : 'leave away'} aria-label="Full screen">
      {document.fullscreenEnabled && (
        <button type="button" title="Or the key f" onClick={toggle}>
          {full.value ? 'Leave full screen' : 'Full screen'}
        </button>
      )}
      <a href={wayOut(view)} title="Or Escape">
        {view.panel === null ? 'Leave kiosk' : 'All panels'}
      </a>
    </nav>
  );
}

/** The address of the same view with everything around it. */
function wayOut(view: View): string {
  return view.href({ kiosk: false, panel: null });
}

function toggle(): void {
  const done =
    document.fullscreenElement === null
      ? document.documentElement.requestFullscreen()
      : document.exitFullscreen();
  // The browser may refuse, and says so itself.
  done.catch(() => {});
}
