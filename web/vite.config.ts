import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The server that `npm run dev` passes the API on to. */
const server = process.env.PUSHSVC_URL ?? 'http://127.0.0.1:8000';

/** While developing, all of the page is at the root, whatever path it is asked for by. */
const atRoot: Plugin = {
  name: 'at-root',
  apply: 'serve',
  transformIndexHtml: (html) => html.replace('<base href="./"', '<base href="/"'),
};

/** What a page needs from the start is fetched beside its script, not after it. Vite's own way brings
 * code for that into the page; parts that are loaded later have hardly anything of their own to fetch. */
const preloaded: Plugin = {
  name: 'preloaded',
  apply: 'build',
  transformIndexHtml: {
    order: 'post',
    handler: (_, { chunk }) =>
      (chunk?.imports ?? []).map((file) => ({
        tag: 'link',
        attrs: { rel: 'modulepreload', crossorigin: true, href: `./${file}` },
        injectTo: 'head' as const,
      })),
  },
};

/** All that the page needs from the start is one file: fetched at once, and smaller than cut into those
 * that parts of it need too. */
const first = { name: 'page', tags: ['$initial' as const] };

export default defineConfig({
  // Relative, so that a proxy may put the page under any path.
  base: './',
  plugins: [atRoot, preloaded],
  // Vite only compiles the TSX; there is no plugin and no inline script, so that a strict
  // Content-Security-Policy holds.
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: here('../pushsvc/web'),
    emptyOutDir: true,
    target: ['chrome123', 'firefox120', 'safari17.5'],
    modulePreload: false,
    rolldownOptions: {
      input: here('index.html'),
      output: { codeSplitting: { groups: [first] } },
    },
    assetsInlineLimit: 0,
  },
  server: {
    proxy: {
      '/v1': { target: server, ws: true },
      '/livez': server,
      '/openapi.json': server,
      '/asyncapi.json': server,
    },
  },
});
