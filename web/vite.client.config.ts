import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The client library by itself, for pages that others write: `/client.js`. */
export default defineConfig({
  publicDir: false,
  build: {
    outDir: here('../pushsvc/web'),
    // The page is there already.
    emptyOutDir: false,
    target: ['chrome123', 'firefox120', 'safari17.5'],
    lib: {
      entry: here('src/client/library.ts'),
      formats: ['es'],
      fileName: () => 'client.js',
    },
  },
});
