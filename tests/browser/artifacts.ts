/** Where screenshots go, to be looked at, and notes. */

import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ARTIFACTS = fileURLToPath(new URL('../../artifacts', import.meta.url));
mkdirSync(ARTIFACTS, { recursive: true });
