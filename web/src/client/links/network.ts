/** Remembers which transport works on which network, also from earlier visits. */

import { LONGEST, TIMING, type Timing } from './timing.ts';
import type { Transport, TransportName } from './transport.ts';

interface Winner {
  readonly name: TransportName;
  readonly at: number;
}

interface Demotion {
  until: number;
  /** How long the next one lasts. */
  next: number;
}

/** The Network Information API, which not all browsers have. */
interface Connection extends EventTarget {
  readonly type?: string;
  readonly effectiveType?: string;
}

const KEY = 'pushsvc.transports';
/** Networks remembered; the oldest is forgotten first. */
const MOST = 8;

/**
 * One for each stream. The transports that won are kept in the browser's storage, for all pages.
 */
export class Network {
  readonly #timing: Timing;
  readonly #demotions = new Map<TransportName, Demotion>();
  /** Used instead of the storage where there is none. */
  #kept = '';

  constructor(timing: Timing = TIMING) {
    this.#timing = timing;
  }

  /**
   * The transports to race: first the one that worked here last, without those that lately failed.
   */
  order(transports: readonly Transport[]): Transport[] {
    const now = Date.now();
    const usable = transports.filter(({ name }) => (this.#demotions.get(name)?.until ?? 0) <= now);
    const racing = usable.length > 0 ? usable : [...transports];
    const winner = this.#winner();
    return racing.sort((a, b) => Number(b.name === winner) - Number(a.name === winner));
  }

  /** This transport delivered: it goes first on this network for a while. */
  worked(name: TransportName): void {
    this.#demotions.delete(name);
    const winners = this.#read();
    delete winners[networkName()];
    winners[networkName()] = { name, at: Date.now() };
    const networks = Object.entries(winners).slice(-MOST);
    this.#write(JSON.stringify(Object.fromEntries(networks)));
  }

  /**
   * This one failed although others delivered: it is left out for a while, each time for longer.
   */
  failed(name: TransportName): void {
    const duration = this.#demotions.get(name)?.next ?? this.#timing.demoted;
    this.#demotions.set(name, {
      until: Date.now() + duration,
      next: Math.min(LONGEST, duration * 2),
    });
  }

  /** Forget failures: all failed, or the network has changed. */
  reset(): void {
    this.#demotions.clear();
  }

  #winner(): TransportName | null {
    const winner = this.#read()[networkName()];
    return winner !== undefined && Date.now() - winner.at < this.#timing.remembered
      ? winner.name
      : null;
  }

  #read(): Record<string, Winner> {
    let text = this.#kept;
    try {
      text = localStorage.getItem(KEY) ?? this.#kept;
    } catch {
      // Not allowed, or no browser.
    }
    try {
      const winners: unknown = JSON.parse(text || '{}');
      return typeof winners === 'object' && winners !== null
        ? (winners as Record<string, Winner>)
        : {};
    } catch {
      return {};
    }
  }

  #write(text: string): void {
    this.#kept = text;
    try {
      localStorage.setItem(KEY, text);
    } catch {
      // Not allowed, full, or no browser: it is remembered until the page is closed.
    }
  }
}

/** A name for the network. Where the browser tells nothing it is always the same. */
function networkName(): string {
  const connection = connectionOf();
  return `${connection?.type ?? ''}/${connection?.effectiveType ?? ''}`;
}

/** Calls `moved` when the device changes networks. Gives the function that ends that. */
export function onNetworkChange(moved: () => void): () => void {
  let name = networkName();
  const look = (): void => {
    const before = name;
    name = networkName();
    if (name !== before) {
      moved();
    }
  };
  const connection = connectionOf();
  connection?.addEventListener?.('change', look);
  return () => connection?.removeEventListener?.('change', look);
}

function connectionOf(): Connection | undefined {
  return typeof navigator === 'undefined'
    ? undefined
    : (navigator as Navigator & { connection?: Connection }).connection;
}
