import type { Labels, Status, Value } from '../client/index.ts';
import type { Dashboard } from '../state/dashboard.ts';

/** What the page holds, for the console and for tests. Nothing can be changed through it. */
export interface Inspection {
  status(): Status & { readonly freshness: string };
  /** Points of a series as they are stored: `[time, value]`, oldest first. */
  points(name: string, labels?: Labels): [number, Value][];
}

declare global {
  interface Window {
    __pushsvc?: Inspection;
  }
}

export function inspect(dashboard: Dashboard): Inspection {
  return {
    status: () => ({ ...dashboard.status.peek(), freshness: dashboard.freshness.peek() }),
    points(name, labels = {}) {
      const series = dashboard.store.find(name, labels);
      if (series === undefined) {
        return [];
      }
      if (series.kind === 'state') {
        return series.changes.map(({ time, value }) => [time, value]);
      }
      const { times, values } = series.column.slice();
      return Array.from(times, (time, index) => [time, values[index]!]);
    },
  };
}
