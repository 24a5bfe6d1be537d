/**
 * Reads a dashboard from a file. It checks what is needed to show it; the server checks the rest
 * when it is saved.
 */

import type { Kept } from '../../dashboards/model.ts';
import { PANEL_KINDS } from '../../panels/model.ts';

type Fields = Record<string, unknown>;

/** Throws an Error that says what is wrong. */
export function read(text: string): Kept {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`it is no JSON: ${(error as Error).message}`);
  }
  const { title, panels, variables } = fields(value, 'a dashboard');
  if (typeof title !== 'string' || title === '') {
    throw new Error('it has no title');
  }
  if (!Array.isArray(panels)) {
    throw new Error('it has no panels');
  }
  const ids = new Set<unknown>();
  for (const [index, one] of panels.entries()) {
    const { id, kind, select, grid } = fields(one, `panel ${index + 1}`);
    if (typeof id !== 'string' || ids.has(id)) {
      throw new Error(`panel ${index + 1} has no id of its own`);
    }
    ids.add(id);
    if (typeof select !== 'string' && kind !== 'text' && kind !== 'row') {
      throw new Error(`panel ${id} has no selector`);
    }
    if (!(PANEL_KINDS as readonly unknown[]).includes(kind)) {
      throw new Error(`panel ${id} is of no kind there is: ${PANEL_KINDS.join(', ')}`);
    }
    if (grid !== undefined) {
      const { x, y, w, h } = fields(grid, `the place of panel ${id}`);
      if (![x, y, w, h].every(Number.isInteger)) {
        throw new Error(`panel ${id} has a place that is none: x, y, w and h are whole numbers`);
      }
    }
  }
  if (variables !== undefined) {
    if (!Array.isArray(variables)) {
      throw new Error('its variables are no list');
    }
    for (const variable of variables) {
      const { name, label, select, values } = fields(variable, 'a variable');
      const own = Array.isArray(values) ? values : [label, select];
      if (![name, ...own].every((one) => typeof one === 'string')) {
        throw new Error('a variable lacks its name, or its label and selector, or its values');
      }
    }
  }
  return value as Kept;
}

function fields(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${what} is no object`);
  }
  return value as Fields;
}
