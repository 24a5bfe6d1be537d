import { longpoll } from './longpoll.ts';
import { sse } from './sse.ts';
import type { Transport } from './transport.ts';
import { websocket } from './websocket.ts';

/** All that this client speaks, in order of preference. */
export const TRANSPORTS: readonly Transport[] = [websocket, sse, longpoll];
