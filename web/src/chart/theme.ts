import { computed, type Signal, signal } from '@preact/signals';
import { recall, remember } from '../browser/settings.ts';
import { DARK, LIGHT, type Look } from './palette.ts';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'pushsvc.theme';
const systemDark = followed('(prefers-color-scheme: dark)');

export const theme: Signal<Theme> = signal(remembered());

/** Whether it is for printing: paper is white in any theme. */
export const printing: Signal<boolean> = followed('print');
/** Whether the system forces its own colours. Canvases have to read these. */
const forced = followed('(forced-colors: active)');

/** The colours and fonts of canvases. */
export const look = computed<Look>(() => {
  if (printing.value) {
    return LIGHT;
  }
  if (forced.value) {
    const ground = systemDark.value ? DARK : LIGHT;
    return { ...ground, text: 'CanvasText', grid: '#808080' };
  }
  return (theme.value === 'system' ? systemDark.value : theme.value === 'dark') ? DARK : LIGHT;
});

export function chooseTheme(choice: Theme): void {
  remember(KEY, choice);
  showTheme(choice);
}

/** Use a theme without saving it: an address may name another than the browser's. */
export function showTheme(choice: Theme): void {
  theme.value = choice;
  // The style sheet depends on this attribute; public/theme.js sets it before the first paint.
  if (choice === 'system') {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = choice;
  }
}

function followed(query: string): Signal<boolean> {
  const media = matchMedia(query);
  const matches = signal(media.matches);
  media.addEventListener('change', () => {
    matches.value = media.matches;
  });
  return matches;
}

/** The theme that the address names, or else the choice of an earlier visit. */
function remembered(): Theme {
  const addressed = new URLSearchParams(location.search).get('theme');
  const themes: readonly (string | null)[] = ['system', 'light', 'dark'];
  const value = themes.includes(addressed) ? addressed : recall(KEY);
  return value === 'light' || value === 'dark' ? value : 'system';
}
