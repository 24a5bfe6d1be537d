/** Tells at the end which tests passed only when they were tried again, and what they failed with. */

import { appendFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Reporter, TestModule } from 'vitest/node';

const ARTIFACTS = fileURLToPath(new URL('../artifacts', import.meta.url));

export class Retried implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines: string[] = [];
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        if (test.diagnostic()?.flaky) {
          const [error] = test.result().errors ?? [];
          const why = error?.message.split('\n')[0] ?? '';
          lines.push(
            `passed at the second try: ${module.relativeModuleId} > ${test.fullName}: ${why}`,
          );
        }
      }
    }
    if (lines.length > 0) {
      const text = `${lines.join('\n')}\n`;
      process.stdout.write(`\n${text}`);
      mkdirSync(ARTIFACTS, { recursive: true });
      appendFileSync(`${ARTIFACTS}/retried.txt`, text);
    }
  }
}
