import { triedPart } from '../browser/part.ts';
import { deferred, POLL_SECONDS, type Transport, websocket } from '../client/index.ts';

/** The stream has plans of its own when to try again. */
const lesser = triedPart(() => import('../client/links/lesser.ts'));

/** What the page's stream may come by. Where WebSockets get through, no other is loaded. */
export const transports: readonly Transport[] = [
  websocket,
  deferred({ name: 'sse', hold: 0, told: true }, async () => (await lesser()).sse),
  deferred(
    { name: 'longpoll', hold: POLL_SECONDS, told: false },
    async () => (await lesser()).longpoll,
  ),
];
