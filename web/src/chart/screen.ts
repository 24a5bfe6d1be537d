import { type Signal, signal } from '@preact/signals';

/**
 * Counts changes of the size of a CSS pixel or an em: by zoom, another monitor, or another font
 * size. Charts then measure their text again.
 */
export const screens: Signal<number> = signal(0);

function changed(): void {
  screens.value += 1;
}

/**
 * No event tells of every change of the ratio, but a media query tells when the present one ends.
 */
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

/** An element that is one em wide, observed for its size. */
function watchEm(): void {
  const em = document.createElement('div');
  em.style.cssText = 'position:absolute;visibility:hidden;width:1rem;height:0';
  document.body.append(em);
  let told = false;
  new ResizeObserver(() => {
    // The first call gives the size; it has not changed.
    if (told) {
      changed();
    }
    told = true;
  }).observe(em);
}

watchRatio();
watchEm();
