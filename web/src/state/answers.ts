import { signal } from '@preact/signals';

/**
 * False while the server doesn't answer although there is a connection: the server hangs, or the
 * path to it. Null until the first answer, once samples are missing.
 */
export const answers = signal<boolean | null>(true);
