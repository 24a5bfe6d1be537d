// Beside each file of the built page: what it is compressed to, once and as small as can be, so that
// the server has nothing to compress. The pages themselves differ by the path they are asked for at.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const SUFFIXES = /\.(?:js|css|svg|d\.ts)$/;
const LEAST_BYTES = 512;

const folder = fileURLToPath(new URL('../pushsvc/web/', import.meta.url));
for (const name of readdirSync(folder, { recursive: true })) {
  const path = `${folder}${name}`;
  if (!SUFFIXES.test(name) || !statSync(path).isFile()) continue;
  const content = readFileSync(path);
  if (content.length < LEAST_BYTES) continue;
  const brotli = brotliCompressSync(content, {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
    },
  });
  writeFileSync(`${path}.br`, brotli);
  writeFileSync(`${path}.gz`, gzipSync(content, { level: constants.Z_BEST_COMPRESSION }));
}
