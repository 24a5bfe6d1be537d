/** What is told of a browser test that failed or hung: its pages as they were, and its servers. */

import type { Page } from 'playwright-core';
import { afterEach, beforeEach } from 'vitest';
import { ARTIFACTS, opened } from './browser.ts';
import { outputs } from './server.ts';

const LINES = 30;

function last(lines: readonly string[]): string {
  return lines.slice(-LINES).join('\n');
}

/** Pages that were there before the test. */
let shared: ReadonlySet<Page> = new Set();
beforeEach(() => {
  shared = new Set(opened.keys());
});

afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') {
    return;
  }
  const name = task.name.replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 60);
  let number = 0;
  for (const [page, said] of opened) {
    number += 1;
    const path = `${ARTIFACTS}/failed-${name}-${number}.png`;
    const taken = await page.screenshot({ path, timeout: 5000 }).then(
      () => path,
      (error: unknown) => `no picture: ${error}`,
    );
    console.error(`${task.name}: ${page.url()}\n${taken}\n${last(said)}`);
    if (!shared.has(page)) {
      // Whatever comes next, maybe the same test once more, isn't to share the machine with it.
      opened.delete(page);
      await page.context().close();
    }
  }
  for (const output of outputs.values()) {
    console.error(`a server of ${task.name}\n${last(output.split('\n'))}`);
  }
});
