export type * from './protocol.ts';
export type { Phase, Status } from './status.ts';
export { Stream, type StreamOptions } from './stream.ts';
export type { TransportName } from './transport.ts';
