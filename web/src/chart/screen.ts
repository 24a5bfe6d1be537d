import { type Signal, signal } from '@preact/signals';

/**
 * Counts how often a CSS pixel or an em became another: by zoom, another monitor, or a font's size.
 * Letters have to be set again then.
 */
export const screens: Signal<number> = signal(0);

function changed(): void {
  screens.value += 1;
}

/** There is no event for any change of the ratio, but one for leaving the present one. */
function watchRatio(): void {
  const query = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
  query.addEventListener(
    'change',
    () => {
      watchRatio();
      changed();
    },
    { once: true },
  );
}

/** An em has an element of its size, which tells. */
function watchEm(): void {
  const em = document.createElement('div');
  em.style.cssText = 'position:absolute;visibility:hidden;width:1rem;height:0';
  document.body.append(em);
  let told = false;
  new ResizeObserver(() => {
    // The first time it tells how large it is, not that it changed.
    if (told) {
      changed();
    }
    told = true;
  }).observe(em);
}

watchRatio();
watchEm();
