import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import page from './vite.config.ts';

// The other pages, what shows the API, the doctor and the clients, are built by themselves: beside the dashboard page,
// what they share with it would be cut out of its one file, and it would be heavier by that.
export default defineConfig({
  ...page,
  build: {
    ...page.build,
    emptyOutDir: false,
    copyPublicDir: false,
    rolldownOptions: {
      input: ['docs.html', 'doctor.html', 'clients.html'].map((name) =>
        fileURLToPath(new URL(name, import.meta.url)),
      ),
    },
  },
});
