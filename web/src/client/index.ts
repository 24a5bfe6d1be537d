/** What the page uses: the library, and under it the stream and its documents. */

export { parseDuration } from './duration.ts';
export * from './library.ts';
export type * from './protocol.ts';
export { Stream, type StreamOptions } from './stream.ts';
