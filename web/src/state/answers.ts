import { signal } from '@preact/signals';

/**
 * False while the server doesn't answer although there is a connection: the server hangs, or the
 * path to it.
 */
export const answers = signal(true);
