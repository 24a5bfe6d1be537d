import {
  type Document,
  type ErrorDocument,
  parseDocument,
  subprotocols,
} from '../protocol/documents.ts';
import { aboutToken, adviceOfClose } from './retry.ts';
import type { End, Link, Listener, Transport } from './transport.ts';

/** One WebSocket, a document per text message. */
export const websocket: Transport = {
  name: 'websocket',
  hold: 0,
  open(request, listener) {
    const { url, token } = request();
    url.protocol = url.protocol.replace('http', 'ws');
    let socket: WebSocket;
    try {
      socket = new WebSocket(url, subprotocols(token));
    } catch (error) {
      // A Content-Security-Policy forbids it, or there is no WebSocket.
      return failSoon(listener, String(error));
    }
    return attach(socket, listener);
  },
};

function attach(socket: WebSocket, listener: Listener): Link {
  let opened = false;
  let delivered = false;
  let closed = false;
  let refusal: ErrorDocument | null = null;
  const end = (why: End): void => {
    if (!closed) {
      closed = true;
      listener.ended(why);
    }
  };
  socket.onopen = () => {
    opened = true;
  };
  socket.onmessage = (event: MessageEvent<unknown>) => {
    let document: Document;
    try {
      document = parseDocument(String(event.data));
    } catch (error) {
      socket.close();
      end({ advice: 'back-off', reason: `what came was no document: ${String(error)}` });
      return;
    }
    if (document.type === 'error') {
      refusal = document;
    }
    delivered = true;
    listener.received(document);
  };
  socket.onclose = (event) => {
    if (!opened) {
      end({ advice: 'back-off', reason: "a WebSocket can't be opened", unusable: true });
      return;
    }
    end({
      advice: adviceOfClose(event.code),
      // Closed without a reason before anything came: a proxy lets the handshake pass, and nothing
      // else.
      unusable: !delivered && [1000, 1005, 1006].includes(event.code),
      reason: refusal?.message ?? (event.reason || `closed with code ${event.code}`),
      ...(refusal === null ? {} : { code: refusal.code }),
      ...(aboutToken(event.code, refusal?.code ?? event.reason) ? { unauthorized: true } : {}),
    });
  };
  return {
    close() {
      closed = true;
      socket.onmessage = null;
      socket.close(1000);
    },
    async watch(change) {
      socket.send(JSON.stringify(change));
      return null;
    },
  };
}

function failSoon(listener: Listener, reason: string): Link {
  let closed = false;
  queueMicrotask(() => {
    if (!closed) {
      closed = true;
      listener.ended({ advice: 'back-off', reason, unusable: true });
    }
  });
  return {
    close() {
      closed = true;
    },
  };
}
