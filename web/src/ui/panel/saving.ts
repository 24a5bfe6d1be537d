/** Saves a panel as a picture or a table. */

import { strokeOf } from '../../chart/palette.ts';
import { look } from '../../chart/theme.ts';
import { printable } from '../../format/printable.ts';
import { formatMoment } from '../../format/time.ts';
import type { Format } from '../../format/units.ts';
import { csvOf } from '../../panels/csv.ts';
import { isShown } from '../../panels/shown.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import type { Member, Panel } from '../../store/panel.ts';
import { rank } from '../../store/ranking.ts';
import { latestOf, valueAt } from '../../store/rate.ts';

/** The most lines that a picture names; of more, the highest. */
const MOST_NAMED = 24;

/** A picture of a panel: its title, its chart, and the names of the lines that are shown. */
async function pngOf(
  chart: HTMLCanvasElement,
  title: string,
  panel: Panel,
  named: readonly Member[],
  format: Format,
  at: number | null,
  now: number,
): Promise<Blob> {
  const scale = devicePixelRatio;
  const style = getComputedStyle(chart.closest('.panel')!);
  const font = (size: number, weight = 400): string =>
    `${weight} ${size * scale}px ${style.fontFamily}`;
  const edge = 14 * scale;
  const head = 42 * scale;
  const line = 20 * scale;
  const members = panel.members.length > 1 ? named.slice(0, MOST_NAMED) : [];
  const across = Math.max(1, Math.floor((chart.width + edge) / (220 * scale)));
  const picture = document.createElement('canvas');
  picture.width = chart.width + 2 * edge;
  picture.height = head + chart.height + Math.ceil(members.length / across) * line + 2 * edge;
  const context = picture.getContext('2d')!;
  context.fillStyle = style.backgroundColor;
  context.fillRect(0, 0, picture.width, picture.height);
  context.fillStyle = style.color;
  context.textBaseline = 'middle';
  context.font = font(15, 600);
  context.fillText(printable(title), edge, edge + head / 4, picture.width * 0.7);
  context.font = font(11);
  context.textAlign = 'end';
  context.fillText(
    formatMoment(at ?? now),
    picture.width - edge,
    edge + head / 4,
    picture.width * 0.28,
  );
  context.textAlign = 'start';
  context.drawImage(chart, edge, head);
  const width = (picture.width - 2 * edge) / across;
  for (const [index, member] of members.entries()) {
    const { series, title: name, colour, format: written = format } = member;
    const left = edge + (index % across) * width;
    const middle = head + chart.height + edge + (Math.floor(index / across) + 0.5) * line;
    const { stroke, dash } = strokeOf(colour, look.peek());
    context.strokeStyle = stroke;
    context.lineWidth = 2.5 * scale;
    context.setLineDash(dash.map((length) => length * scale));
    context.beginPath();
    context.moveTo(left, middle);
    context.lineTo(left + 16 * scale, middle);
    context.stroke();
    const value = at === null ? latestOf(series, panel.raw) : valueAt(series, at, panel.raw);
    context.fillText(
      `${name || printable(series.name)}   ${written.value(value)}`,
      left + 22 * scale,
      middle,
      width - 34 * scale,
    );
  }
  return new Promise((resolve, reject) => {
    picture.toBlob(
      (blob) => (blob === null ? reject(new Error('the picture is too large')) : resolve(blob)),
      'image/png',
    );
  });
}

/** Download something as a file. */
export function hand(name: string, blob: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/[\\/:*?"<>|]+/g, '-');
  link.click();
  URL.revokeObjectURL(link.href);
}

interface Saved {
  readonly id: string;
  readonly title: string;
  readonly panel: Panel;
  readonly dashboard: Dashboard;
  readonly format: Format;
  /** Whether to save a picture of the chart; else a table of what is shown. */
  readonly picture: boolean;
}

/** Download a panel as a file. `root` is any element in it. */
export async function save(root: Element, saved: Saved): Promise<void> {
  const { id, title, panel, dashboard, format, picture } = saved;
  const to = dashboard.time.edge;
  if (picture) {
    const canvas = root.closest('.panel')!.querySelector('canvas')!;
    const named = rank(panel, to).filter((member) => isShown(id, member));
    const blob = await pngOf(canvas, title, panel, named, format, dashboard.time.heldAt.peek(), to);
    hand(`${title}.png`, blob);
  } else {
    const written = panel.members.filter((member) => isShown(id, member));
    const text = csvOf(panel, written, to - dashboard.time.windowMs.peek(), to);
    hand(`${title}.csv`, new Blob([text], { type: 'text/csv' }));
  }
}
