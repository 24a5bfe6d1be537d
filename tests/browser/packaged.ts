/**
 * The Chromium of the npm package, unpacked once for each version.
 *
 * By itself the package unpacks to the folder for temporary files, whoever asks first, and takes any
 * file of that name for a whole one: test files that begin together run what another is still writing
 * ("text file busy"), and what an interrupted run left is used for ever. So it is unpacked to a place of
 * its own, by a process of its own (the package changes the environment of whoever loads it), and gets
 * its name when it is whole.
 */

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WEB = fileURLToPath(new URL('../../web', import.meta.url));
const UNPACK = `
  const { default: chromium } = await import('@sparticuz/chromium');
  await chromium.executablePath();
`;

/** A browser, and what has to be in its environment. */
export type Packaged = { path: string; environment: Readonly<Record<string, string>> };

/** The browser of the package, unpacked if it isn't yet. */
export function packagedChromium(): Packaged {
  const folder = place();
  if (!existsSync(folder)) {
    unpack(folder);
  }
  const libraries = [join(folder, 'al2023/lib'), process.env.LD_LIBRARY_PATH];
  return {
    path: join(folder, 'chromium'),
    environment: {
      FONTCONFIG_PATH: join(folder, 'fonts'),
      LD_LIBRARY_PATH: libraries.filter(Boolean).join(':'),
    },
  };
}

function place(): string {
  const description = join(WEB, 'node_modules/@sparticuz/chromium/package.json');
  const { version } = JSON.parse(readFileSync(description, 'utf8')) as { version: string };
  return join(WEB, 'node_modules/.chromium', version);
}

/** Of several that do so at once, the first one's stays. */
function unpack(folder: string): void {
  mkdirSync(join(folder, '..'), { recursive: true });
  const scratch = mkdtempSync(`${folder}-`);
  try {
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', UNPACK],
      {
        cwd: WEB,
        encoding: 'utf8',
        // The second has it unpack its libraries as well, for hosts that have none for a browser.
        env: { ...process.env, TMPDIR: scratch, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' },
      },
    );
    if (status !== 0) {
      throw new Error(`the packaged Chromium can't be unpacked: ${stderr}`);
    }
    // Its own names the folders of the place it is made for.
    writeFileSync(join(scratch, 'fonts/fonts.conf'), fontsIn(folder));
    renameSync(scratch, folder);
  } catch (error) {
    if (!existsSync(folder)) {
      throw error;
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const fontsIn = (folder: string): string => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${folder}/fonts</dir>
  <cachedir>${folder}/fonts-cache</cachedir>
</fontconfig>
`;
