import { fileURLToPath } from 'node:url';
import { defineConfig, mergeConfig } from 'vitest/config';
import { findFirefox } from '../tests/browser/programs.ts';
import { Retried } from './retried.ts';
import page from './vite.config.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

// The browser tests and benchmarks lie beside the Python ones; their packages are here.
const packages = ['playwright-core', '@axe-core/playwright'];
const browser = {
  resolve: {
    alias: Object.fromEntries(packages.map((name) => [name, here(`./node_modules/${name}`)])),
  },
  server: { fs: { allow: [here('..')] } },
};

const pages = {
  dir: here('../tests/browser'),
  // Each file has servers and browsers of its own. Half of what they take is waiting.
  maxWorkers: Number(process.env.JOBS ?? 2),
  setupFiles: [here('../tests/browser/dump.ts')],
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // A second, as it is by default, is less than a busy machine may need.
  expect: { poll: { timeout: 30_000 } },
  // On a machine that others use as well one test may fail for lack of time: tried again where that is
  // asked for, and told of at the end.
  retry: Number(process.env.RERUNS ?? 0),
};

// What is run in Firefox as well: first paint, live, reconnect, edit and keyboard.
const inFirefox = ['page', 'resume', 'editor', 'reading'].map((name) => `${name}.test.ts`);

export default mergeConfig(
  page,
  defineConfig({
    test: {
      tags: [
        {
          name: 'long',
          description: 'takes long by its nature: left to make test-long',
          timeout: 150_000,
        },
      ],
      reporters: ['default', new Retried()],
      projects: [
        {
          extends: true,
          // Many pages in made-up time take long on a machine that others use as well.
          test: { name: 'unit', include: ['test/**/*.test.ts'], testTimeout: 30_000 },
        },
        {
          extends: true,
          ...browser,
          test: {
            name: 'browser',
            ...pages,
            include: ['**/*.test.ts'],
          },
        },
        {
          extends: true,
          ...browser,
          test: {
            name: 'firefox',
            ...pages,
            include: findFirefox() === null ? [] : inFirefox,
            env: { TESTED_BROWSER: 'firefox' },
          },
        },
        {
          extends: true,
          ...browser,
          test: {
            name: 'bench',
            dir: here('../tests/bench/browser'),
            include: ['**/*.bench.ts'],
            fileParallelism: false,
            hookTimeout: 600_000,
          },
        },
      ],
    },
  }),
);
