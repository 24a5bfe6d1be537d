export type * from './protocol.ts';
export { type Phase, type Status, Stream, type StreamOptions } from './stream.ts';
export type { TransportName } from './transport.ts';
