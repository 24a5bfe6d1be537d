/** Dashboards with a panel of each kind, and of each size, and what they are of. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server } from './server.ts';

export const LONG_TITLE =
  'How long the requests of all customers in all regions took from the edge to the last byte, by service and by version';
export const MIXED = '{__name__=~"begun|load"}';
/** A panel of each kind. */
const BOARD = {
  title: 'Kinds',
  window: '1m',
  panels: [
    {
      id: 'dial',
      title: 'Load now',
      kind: 'gauge',
      select: 'load',
      max: 2,
      thresholds: [
        { at: 1, level: 'warning' },
        { at: 1.6, level: 'critical' },
      ],
      grid: { x: 0, y: 0, w: 4, h: 4 },
    },
    {
      id: 'heat',
      title: 'Heat',
      kind: 'heatmap',
      select: 'load',
      grid: { x: 4, y: 0, w: 8, h: 4 },
    },
    { id: 'up', title: 'Up', kind: 'timeline', select: 'up', grid: { x: 0, y: 4, w: 6, h: 3 } },
    { id: 'rows', title: 'Rows', kind: 'table', select: 'row', grid: { x: 6, y: 4, w: 6, h: 3 } },
    {
      id: 'long',
      title: LONG_TITLE,
      kind: 'line',
      select: 'row',
      grid: { x: 0, y: 7, w: 3, h: 4 },
    },
    { id: 'mixed', title: 'Mixed', kind: 'line', select: MIXED, grid: { x: 8, y: 7, w: 4, h: 4 } },
    {
      id: 'when',
      title: 'Started',
      kind: 'stat',
      select: 'begun',
      grid: { x: 3, y: 7, w: 5, h: 3 },
    },
  ],
};

/** Panels of many rows, in places of all heights and of some widths. */
const ROWS = {
  title: 'Rows',
  window: '1m',
  panels: [
    // And such with a figure as long as figures are.
    ...[2, 3, 4, 3].map((w, index) => ({
      id: `long-${index}`,
      title: 'The time at which it was started',
      kind: 'line',
      select: 'begun',
      grid: { x: [0, 2, 5, 9][index], y: 20, w, h: 3 },
    })),
    ...[2, 3, 4, 5, 6].flatMap((h, index) => {
      const y = [2, 3, 4, 5].slice(0, index).reduce((sum, height) => sum + height, 0);
      return [
        { kind: 'table', select: 'row', x: 0, w: 4 },
        { kind: 'line', select: 'row', x: 4, w: 3 },
        { kind: 'area', select: 'row', x: 7, w: 3 },
        { kind: 'timeline', select: 'phase', x: 10, w: 2 },
      ].map(({ kind, select, x, w }) => ({
        id: `${kind}-${h}`,
        title: `${kind} ${h}`,
        kind,
        select,
        grid: { x, y, w, h },
      }));
    }),
  ],
};

/** Values and gauges in places that are as small as those of dashboards of Grafana's. */
const SMALL = {
  title: 'Small',
  window: '1m',
  panels: [
    { kind: 'stat', select: 'load{host="ill"}', x: 0, w: 1, h: 1 },
    { kind: 'stat', select: 'load{host="ill"}', x: 1, w: 2, h: 1 },
    { kind: 'stat', select: 'load{host="ill"}', x: 3, w: 1, h: 2 },
    { kind: 'stat', select: 'load{host="ill"}', x: 4, w: 4, h: 1 },
    { kind: 'gauge', select: 'load{host="ill"}', x: 8, w: 1, h: 2 },
    { kind: 'gauge', select: 'load', x: 9, w: 2, h: 2 },
  ].map(({ kind, select, x, w, h }, index) => ({
    id: `${index}`,
    title: `Root FS used ${index}`,
    description: 'What there is of it, in parts of all, of the disk that the system is on',
    kind,
    select,
    max: 2,
    grid: { x, y: 0, w, h },
  })),
};

/** A server that has them as `kinds`, `rows` and `small`, with a producer that publishes twice a second. */
export class Kinds {
  /** The one that runs: `restart` makes another. */
  server: Server;
  private readonly folder: string;
  private readonly publishing: NodeJS.Timeout;
  private count = 0;

  private constructor(server: Server, folder: string) {
    this.server = server;
    this.folder = folder;
    this.publishing = setInterval(() => void this.publish().catch(() => {}), 500);
  }

  /** With half a minute of the past. */
  static async start(): Promise<Kinds> {
    const folder = mkdtempSync(join(tmpdir(), 'pushsvc-kinds-'));
    writeFileSync(join(folder, 'kinds.json'), JSON.stringify(BOARD));
    writeFileSync(join(folder, 'rows.json'), JSON.stringify(ROWS));
    writeFileSync(join(folder, 'small.json'), JSON.stringify(SMALL));
    const kinds = new Kinds(await serve(folder, 0), folder);
    const now = Date.now();
    for (let ago = 60; ago > 0; ago -= 1) {
      await kinds.publish(now - ago * 500);
    }
    return kinds;
  }

  /** Have it away for so many milliseconds, as a process that was killed is. */
  async restart(away: number): Promise<void> {
    const { port } = this.server;
    await this.server.stop('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, away));
    this.server = await serve(this.folder, port);
  }

  async close(): Promise<void> {
    clearInterval(this.publishing);
    await Server.stopAll();
    rmSync(this.folder, { recursive: true });
  }

  private publish(time = Date.now()): Promise<void> {
    this.count += 1;
    const { count } = this;
    return this.server.publish(
      { name: 'load', labels: { host: 'calm' }, value: 0.4 + (count % 3) / 10, time },
      { name: 'load', labels: { host: 'busy' }, value: 1.2 + (count % 3) / 10, time },
      { name: 'load', labels: { host: 'ill' }, value: count % 40 === 0 ? 1.9 : 1.7, time },
      { name: 'up', labels: { host: 'a' }, value: count % 60 < 50, kind: 'state', time },
      { name: 'begun', value: 1_700_000_000, unit: 'timestamp_seconds', time },
      ...Array.from({ length: 15 }, (_, host) => ({
        name: 'phase',
        labels: { host: `${host}` },
        value: (count + host) % 40 < 20 ? 'steady' : 'rolling',
        kind: 'state',
        time,
      })),
      ...Array.from({ length: 30 }, (_, row) => ({
        name: 'row',
        labels: { row: `${row}` },
        // Near each other, and changing places all the time.
        value: 100 + row / 10 + ((count * 7 + row * 3) % 5),
        time,
      })),
    );
  }
}

function serve(folder: string, port: number): Promise<Server> {
  return Server.start('serve', port, { PUSHSVC_DASHBOARDS_PROVISIONED: folder });
}
