import { read } from '../client/protocol/selector.ts';
import type { Panel, Query } from './model.ts';

/** What a panel asks for; nothing where it is text. */
export function queriesOf({
  select,
  legend,
  also = [],
}: Pick<Panel, 'select' | 'legend' | 'also'>): readonly Query[] {
  return select === undefined ? [] : [{ select, ...(legend && { legend }) }, ...also];
}

export function isReadable(selector: string): boolean {
  return read(selector) !== null;
}
