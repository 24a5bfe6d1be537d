/** What the page is given to draw: series of ten metrics' worth of habits, and their past. */

import type { Server } from '../../browser/server.ts';

const BATCH = 20_000;

/** `panels` metrics with `lines` series each, that move as metrics of hosts do. */
export class Load {
  readonly series: { readonly name: string; readonly labels: { readonly host: string } }[] = [];
  published = 0;
  private readonly values: number[];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(panels: number, lines: number) {
    for (let panel = 0; panel < panels; panel += 1) {
      for (let line = 0; line < lines; line += 1) {
        this.series.push({
          name: `bench_metric_${String(panel).padStart(2, '0')}`,
          labels: { host: `host-${line}` },
        });
      }
    }
    this.values = this.series.map((_, index) => 50 + (index % 7));
  }

  /** One sample of each series at a time (Unix milliseconds). */
  private samples(time: number) {
    return this.series.map(({ name, labels }, index) => {
      const value = this.values[index]! + (Math.random() - 0.5) * 4;
      this.values[index] = Math.min(100, Math.max(0, value));
      return { name, labels, value: this.values[index]!, time };
    });
  }

  /** Publish the past of so many seconds, `hz` samples a second of each series. */
  async prefill(server: Server, seconds: number, hz: number): Promise<void> {
    const now = Date.now();
    const steps = seconds * hz;
    const atOnce = Math.max(1, Math.floor(BATCH / this.series.length));
    for (let step = 0; step < steps; step += atOnce) {
      const batch = [];
      for (let at = step; at < Math.min(steps, step + atOnce); at += 1) {
        batch.push(...this.samples(now - ((steps - at) * 1000) / hz));
      }
      await server.publish(...batch);
    }
  }

  /** Publish at a rate until `stop`, also while the server is away. */
  start(url: () => string, hz: number): void {
    const step = async (due: number): Promise<void> => {
      const samples = this.samples(Date.now());
      try {
        const response = await fetch(`${url()}/v1/samples`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ samples }),
        });
        this.published += response.ok ? samples.length : 0;
      } catch {
        // It is being restarted.
      }
      const next = Math.max(due + 1000 / hz, Date.now() - 1000);
      this.timer = setTimeout(() => void step(next), Math.max(0, next - Date.now()));
    };
    void step(Date.now());
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
