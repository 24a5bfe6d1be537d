/** What the page uses: the library, and under it the stream and its documents. */

export * from './library.ts';
export type * from './protocol/documents.ts';
export { parseDuration } from './protocol/duration.ts';
export { Stream, type StreamOptions } from './stream/stream.ts';
