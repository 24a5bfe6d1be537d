/** Where browsers are. */

import { spawnSync } from 'node:child_process';

function find(variable: string, names: readonly string[]): string | null {
  const named = process.env[variable];
  if (named) {
    return named;
  }
  for (const name of names) {
    const { stdout } = spawnSync('which', [name], { encoding: 'utf8' });
    if (stdout?.trim()) {
      return stdout.trim();
    }
  }
  return null;
}

/** `PUSHSVC_CHROMIUM`, or one that the system has; null where there is none. */
export function findChromium(): string | null {
  return find('PUSHSVC_CHROMIUM', [
    'chromium',
    'chromium-browser',
    'google-chrome',
    'google-chrome-stable',
  ]);
}

/** `PUSHSVC_FIREFOX`, or one that the system has; null where there is none. */
export function findFirefox(): string | null {
  return find('PUSHSVC_FIREFOX', ['firefox-esr', 'firefox']);
}
