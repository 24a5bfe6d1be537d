import type { Link, Transport } from './transport.ts';

/**
 * A transport whose code is loaded when it is first used. `told` says whether its links can be told
 * of a change; `load` may take as long as it wants, and rejects where that code can't be had.
 */
export function deferred(
  { name, hold, told }: Pick<Transport, 'name' | 'hold'> & { readonly told: boolean },
  load: () => Promise<Transport>,
): Transport {
  return {
    name,
    hold,
    open(request, listener) {
      let closed = false;
      let link: Link | null = null;
      load().then(
        (transport) => {
          if (!closed) {
            link = transport.open(request, listener);
          }
        },
        ({ message: reason }: Error) => {
          if (!closed) {
            listener.ended({ advice: 'back-off', reason });
          }
        },
      );
      return {
        close() {
          closed = true;
          link?.close();
        },
        // A session is known by then, which only an open link has.
        ...(told ? { watch: (change, session) => link!.watch!(change, session) } : {}),
      };
    },
  };
}
