/** A browser, and a server to which samples are published as long as the tests of a file run. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { launch } from './browser.ts';
import { type Sample, Server } from './server.ts';

export interface Live {
  readonly browser: Browser;
  readonly server: Server;
  /** End all of it. */
  readonly stop: () => Promise<void>;
}

interface LiveOptions {
  /** The server's environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What is published, at first and again and again. */
  readonly samples: () => readonly Sample[];
  readonly everyMs?: number;
  /** A folder that is removed at the end. */
  readonly folder?: string;
}

/** A new folder for files of a server. */
export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'pushsvc-live-'));
}

/** Start both; the first samples have been taken in. */
export async function goLive(options: LiveOptions): Promise<Live> {
  const { environment = {}, samples, everyMs = 500, folder } = options;
  const launching = launch();
  let publishing: ReturnType<typeof setInterval> | undefined;
  const stop = async (): Promise<void> => {
    clearInterval(publishing);
    await Server.stopAll();
    const launched = await launching.catch(() => null);
    await launched?.close();
    if (folder !== undefined) {
      rmSync(folder, { recursive: true });
    }
  };
  try {
    const [browser, server] = await Promise.all([launching, Server.start('serve', 0, environment)]);
    const publish = () => server.publish(...samples());
    await publish();
    publishing = setInterval(() => void publish().catch(() => {}), everyMs);
    return { browser, server, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
