/** Gives single lines of a panel what they have of their own: a name, a unit, a colour. */

import { legible, SEEN } from '../chart/legible.ts';
import { type Member, titled } from '../store/panel.ts';
import { patternOf } from './mapping.ts';
import type { Line, Panel } from './model.ts';
import { formatFor, type Written } from './writing.ts';

export type Dressed = Written & Pick<Panel, 'lines' | 'unit' | 'data_links'>;

/** What a line of this name and query has of its own. */
export function ownOf(lines: readonly Line[], name: string, query: number): Line {
  return Object.assign(
    {},
    ...lines.filter(
      (line) =>
        line.query === query ||
        line.name === name ||
        (line.regex !== undefined && patternOf(line.regex)?.test(name)),
    ),
  );
}

/** A line with what it has of its own; itself if that is nothing. */
export function dressed(
  plain: Member,
  query: number,
  panel: Dressed,
  rate: boolean,
  tint: (colour: string) => string,
): Member {
  const { data_links: links } = panel;
  const member = links === undefined ? plain : { ...plain, links };
  const { series, title } = member;
  const own = ownOf(panel.lines ?? [], title || series.name, query);
  const { unit, decimals, colour } = own;
  if (own.title === undefined && unit === undefined && decimals === undefined && !colour) {
    return member;
  }
  const written = { ...panel, ...(decimals !== undefined && { decimals }) };
  return {
    ...member,
    ...(own.title !== undefined && { title: titled(own.title, series) }),
    ...(colour !== undefined && { colour: (lines) => legible(colour, lines, SEEN) }),
    ...((unit !== undefined || decimals !== undefined) && {
      format: formatFor(written, unit ?? panel.unit ?? series.unit, rate, tint),
    }),
  };
}
