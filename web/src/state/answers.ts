import { signal } from '@preact/signals';

/**
 * False while a server to which there is a connection doesn't answer: it hangs, or the way does.
 */
export const answers = signal(true);
