import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import page from './vite.config.ts';

// What shows the API is built by itself: a page more among the others would have what they share cut into
// smaller files, and the dashboard page would be heavier by that.
export default defineConfig({
  ...page,
  build: {
    ...page.build,
    emptyOutDir: false,
    copyPublicDir: false,
    rolldownOptions: { input: fileURLToPath(new URL('docs.html', import.meta.url)) },
  },
});
