import { loadPart } from '../browser/part.ts';
import { deferred, POLL_SECONDS, type Transport, websocket } from '../client/index.ts';

/** What the page's stream may come by. Where WebSockets get through, no other is loaded. */
export const transports: readonly Transport[] = [
  websocket,
  deferred({ name: 'sse', hold: 0, told: true }, async () => (await lesser()).sse),
  deferred(
    { name: 'longpoll', hold: POLL_SECONDS, told: false },
    async () => (await lesser()).longpoll,
  ),
];

function lesser() {
  return loadPart(() => import('../client/links/lesser.ts'));
}
