/** What a page costs, as the browser itself counts it. */

import type { Browser, CDPSession, Page } from 'playwright-core';

export interface Reading {
  /** Seconds since the page was opened. */
  readonly at: number;
  /** MiB of JavaScript objects after a collection, without the contents of typed arrays. */
  readonly heapMiB: number;
  /** MiB of the contents of typed arrays. */
  readonly buffersMiB: number;
  /** Of one core since the last reading: the page's own process, and all of the browser's. */
  readonly pageCpu: number;
  readonly browserCpu: number;
}

interface Usage {
  readonly usedSize: number;
  readonly backingStorageSize?: number;
}

interface Processes {
  readonly processInfo: readonly {
    readonly type: string;
    readonly id: number;
    readonly cpuTime: number;
  }[];
}

export class Probe {
  private readonly whole: CDPSession;
  private readonly session: CDPSession;
  private readonly began = performance.now();
  private last: { readonly at: number; readonly page: number; readonly all: number } | null = null;

  private constructor(whole: CDPSession, session: CDPSession) {
    this.whole = whole;
    this.session = session;
  }

  static async on(browser: Browser, page: Page): Promise<Probe> {
    const probe = new Probe(
      await browser.newBrowserCDPSession(),
      await page.context().newCDPSession(page),
    );
    await probe.session.send('HeapProfiler.enable');
    return probe;
  }

  /** Begin to count processor time anew. */
  async mark(): Promise<void> {
    this.last = await this.cpu();
  }

  async read(): Promise<Reading> {
    const before = this.last;
    const now = await this.cpu();
    await this.session.send('HeapProfiler.collectGarbage');
    const usage = (await this.session.send('Runtime.getHeapUsage')) as Usage;
    // Collecting is not what the page does.
    this.last = await this.cpu();
    const elapsed = before === null ? Number.NaN : now.at - before.at;
    return {
      at: (performance.now() - this.began) / 1000,
      heapMiB: usage.usedSize / 2 ** 20,
      buffersMiB: (usage.backingStorageSize ?? Number.NaN) / 2 ** 20,
      pageCpu: (now.page - (before?.page ?? 0)) / elapsed,
      browserCpu: (now.all - (before?.all ?? 0)) / elapsed,
    };
  }

  private async cpu(): Promise<{ at: number; page: number; all: number }> {
    const { processInfo } = (await this.whole.send('SystemInfo.getProcessInfo')) as Processes;
    const sum = (types: (type: string) => boolean): number =>
      processInfo.filter(({ type }) => types(type)).reduce((sum, { cpuTime }) => sum + cpuTime, 0);
    return {
      at: performance.now() / 1000,
      page: sum((type) => type === 'renderer'),
      all: sum(() => true),
    };
  }
}

/** Frames a second that the page could draw, over so many seconds. */
export function frames(page: Page, seconds: number): Promise<number> {
  return page.evaluate(
    (seconds) =>
      new Promise<number>((resolve) => {
        let count = 0;
        let began = 0;
        const step = (now: number): void => {
          began ||= now;
          if (now - began >= seconds * 1000) {
            resolve((count * 1000) / (now - began));
          } else {
            count += 1;
            requestAnimationFrame(step);
          }
        };
        requestAnimationFrame(step);
      }),
    seconds,
  );
}
