/** A browser with tabs, as far as they share anything: locks and channels. */

import { vi } from 'vitest';
import { Client, type ConnectOptions } from '../../src/client/client.ts';
import type { Service } from './service.ts';

interface Waiting {
  readonly tab: Tab;
  readonly held: () => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Lock {
  holder: Waiting | null;
  queue: Waiting[];
}

/** What a tab has; it is frozen or dead while nothing reaches it or comes from it. */
export class Tab {
  frozen = false;
  /** What is on its way to it while it is frozen. */
  readonly pending: (() => void)[] = [];
  readonly client: Client;

  constructor(browser: Browser, service: Service, options: ConnectOptions) {
    browser.current = this;
    this.client = new Client(
      new URL('http://test/v1/stream'),
      { share: true, ...options },
      service.transports(),
    );
  }
}

export class Browser {
  /** The tab whose code runs. */
  current: Tab | null = null;
  readonly tabs: Tab[] = [];
  readonly locks = new Map<string, Lock>();
  readonly channels = new Set<Channel>();
  private readonly service: Service;

  constructor(service: Service) {
    this.service = service;
    const browser = this;
    vi.stubGlobal('navigator', { locks: { request: browser.request } });
    vi.stubGlobal(
      'BroadcastChannel',
      class extends Channel {
        constructor(name: string) {
          super(name, browser);
        }
      },
    );
  }

  open(options: ConnectOptions = {}): Tab {
    const tab = new Tab(this, this.service, options);
    this.tabs.push(tab);
    return tab;
  }

  /** The tab that holds the lock for the connection. */
  get leader(): Tab | undefined {
    for (const [name, { holder }] of this.locks) {
      if (!name.includes('/v1/stream#/') && holder !== null) {
        return holder.tab;
      }
    }
    return undefined;
  }

  /** The browser ends a tab: its locks are free, and it says nothing more. */
  crash(tab: Tab): void {
    tab.frozen = true;
    tab.pending.length = 0;
    for (const channel of [...this.channels]) {
      if (channel.tab === tab) {
        this.channels.delete(channel);
      }
    }
    for (const [name, lock] of this.locks) {
      lock.queue = lock.queue.filter((waiting) => waiting.tab !== tab);
      if (lock.holder?.tab === tab) {
        lock.holder = null;
        this.grant(name);
      }
    }
  }

  /** A frozen tab runs again: first comes what was said meanwhile. */
  thaw(tab: Tab): void {
    tab.frozen = false;
    for (const deliver of tab.pending.splice(0)) {
      deliver();
    }
  }

  private readonly request = (
    name: string,
    { signal, steal }: { signal?: AbortSignal; steal?: boolean },
    held: () => Promise<unknown>,
  ): Promise<unknown> => {
    const tab = this.current!;
    return new Promise((resolve, reject) => {
      const lock = this.locks.get(name) ?? { holder: null, queue: [] };
      this.locks.set(name, lock);
      const waiting: Waiting = { tab, held, resolve, reject };
      if (steal === true) {
        const { holder } = lock;
        if (holder !== null) {
          this.run(holder.tab, () => holder.reject(new DOMException('stolen', 'AbortError')));
        }
        lock.holder = null;
        lock.queue.unshift(waiting);
      } else {
        lock.queue.push(waiting);
      }
      signal?.addEventListener('abort', () => {
        if (lock.queue.includes(waiting)) {
          lock.queue.splice(lock.queue.indexOf(waiting), 1);
          reject(new DOMException('aborted', 'AbortError'));
        }
      });
      this.grant(name);
    });
  };

  private grant(name: string): void {
    const lock = this.locks.get(name)!;
    setTimeout(() => {
      if (lock.holder !== null || lock.queue.length === 0) {
        return;
      }
      const next = lock.queue.shift()!;
      lock.holder = next;
      this.run(next.tab, () => {
        next.held().then((value) => {
          if (lock.holder === next) {
            lock.holder = null;
            next.resolve(value);
            this.grant(name);
          }
        }, next.reject);
      });
    }, 1);
  }

  run(tab: Tab, task: () => void): void {
    const go = (): void => {
      const before = this.current;
      this.current = tab;
      task();
      this.current = before;
    };
    if (tab.frozen) {
      tab.pending.push(go);
    } else {
      go();
    }
  }
}

class Channel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly tab: Tab;
  private readonly name: string;
  private readonly browser: Browser;

  constructor(name: string, browser: Browser) {
    this.name = name;
    this.browser = browser;
    this.tab = browser.current!;
    browser.channels.add(this);
  }

  /** Messages reach everyone in the order in which they were said, by whomever. */
  postMessage(message: unknown): void {
    if (this.tab.frozen) {
      return;
    }
    for (const other of this.browser.channels) {
      if (other !== this && other.name === this.name) {
        const data = structuredClone(message);
        setTimeout(() => {
          if (this.browser.channels.has(other)) {
            this.browser.run(other.tab, () => other.onmessage?.({ data }));
          }
        }, 1);
      }
    }
  }

  close(): void {
    this.browser.channels.delete(this);
  }
}
