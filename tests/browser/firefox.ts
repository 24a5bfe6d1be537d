/** A real Firefox, by WebDriver BiDi: `PUSHSVC_FIREFOX`, or one that the system has. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, firefox } from 'playwright-core';
import { findFirefox } from './programs.ts';

/**
 * Start one with a profile of its own; `close` ends both. Null where there is none. It has the
 * media features of its machine: `colorScheme` and the like aren't emulated.
 */
export async function launchFirefox(): Promise<Browser | null> {
  const program = findFirefox();
  if (program === null) {
    return null;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'pushsvc-firefox-'));
  const browser = await firefox.launch({
    channel: 'moz-firefox',
    executablePath: program,
    env: { ...process.env, HOME: scratch, TMPDIR: scratch, MOZ_DISABLE_CONTENT_SANDBOX: '1' },
  });
  browser.on('disconnected', () =>
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  );
  bearWith(browser);
  return browser;
}

/** A session of BiDi, as Playwright has it. */
interface Session {
  send(method: string, params: unknown): Promise<unknown>;
}

/** Playwright emulates media features in every page, which Debian's Firefox has no command for. */
function bearWith(browser: Browser): void {
  const inside = browser as unknown as {
    _connection: { toImpl(browser: Browser): { _browserSession: Session } };
  };
  const { _browserSession: session } = inside._connection.toImpl(browser);
  const kind = Object.getPrototypeOf(session) as Session & { bears?: true };
  if (kind.bears) {
    return;
  }
  kind.bears = true;
  const { send } = kind;
  kind.send = async function (this: Session, method, params) {
    return method === 'emulation.setMediaFeaturesOverride' ? {} : send.call(this, method, params);
  };
}
