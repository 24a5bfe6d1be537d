import { computed, type Signal, signal } from '@preact/signals';
import { DARK, LIGHT } from './chart/palette.ts';
import { recall, remember } from './settings.ts';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'pushsvc.theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(system.matches);
system.addEventListener('change', () => {
  systemDark.value = system.matches;
});

export const theme: Signal<Theme> = signal(remembered());

/** What canvases are drawn with. */
export const look = computed(() =>
  (theme.value === 'system' ? systemDark.value : theme.value === 'dark') ? DARK : LIGHT,
);

export function chooseTheme(choice: Theme): void {
  theme.value = choice;
  remember(KEY, choice);
  // The style sheet follows the attribute; public/theme.js sets it before the first paint.
  if (choice === 'system') {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = choice;
  }
}

function remembered(): Theme {
  const value = recall(KEY);
  return value === 'light' || value === 'dark' ? value : 'system';
}
