/** What the page uses: the library, and under it the stream and its documents. */

export { Client } from './client.ts';
export * from './library.ts';
export { deferred } from './links/deferred.ts';
export { POLL_SECONDS } from './links/timing.ts';
export type { Transport } from './links/transport.ts';
export { websocket } from './links/websocket.ts';
export { streamAt } from './protocol/address.ts';
export type * from './protocol/documents.ts';
export { parseDuration } from './protocol/duration.ts';
export { Stream, type StreamOptions } from './stream/stream.ts';
