/** The beginning of the library: a client of a service, which speaks all that there is. */

import { Client, type ConnectOptions } from './client.ts';
import { longpoll } from './links/longpoll.ts';
import { sse } from './links/sse.ts';
import type { Transport, TransportName } from './links/transport.ts';
import { websocket } from './links/websocket.ts';
import { streamAt } from './protocol/address.ts';

/** In order of preference. */
const TRANSPORTS: readonly Transport[] = [websocket, sse, longpoll];

/** Where this library was loaded from: the service itself, whatever its path. */
const HERE = import.meta.url;

/**
 * Watch a pushsvc service. `url` is where it is served from, relative to the page if it isn't
 * whole, and the one that this library came from if there is none; the stream's own URL will do
 * too. Nothing is sent before there is a subscription.
 */
export function connect(
  url: string | URL = new URL('./', HERE),
  options: ConnectOptions = {},
): Client {
  return new Client(streamAt(url), options, named(options.transports), longpoll);
}

function named(names: readonly TransportName[] | undefined): readonly Transport[] {
  if (names === undefined) {
    return TRANSPORTS;
  }
  if (names.length === 0) {
    throw new TypeError('transports must name one at least');
  }
  return names.map((name) => {
    const found = TRANSPORTS.find((transport) => transport.name === name);
    if (found === undefined) {
      throw new TypeError(
        `there is no transport ${JSON.stringify(name)}: there are websocket, sse and longpoll`,
      );
    }
    return found;
  });
}
