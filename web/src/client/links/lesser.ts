/** What serves where WebSockets don't get through, for who loads it only then. */

export { longpoll } from './longpoll.ts';
export { sse } from './sse.ts';
