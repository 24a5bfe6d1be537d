/**
 * Names, labels, states and titles come from other people. Characters that would change the
 * direction of other text, or are invisible, are escaped where elements are created, so that no
 * component has to remember it.
 */

import { Fragment, options, type VNode } from 'preact';
import { printable } from '../format/printable.ts';

/** Attributes whose text people read. */
const SHOWN = ['title', 'aria-label', 'aria-valuetext', 'aria-description', 'alt', 'label'];

/** Text may have several lines, in a tooltip too. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

function shown(child: unknown): unknown {
  if (typeof child === 'string') {
    return printableLines(child);
  }
  return Array.isArray(child) ? child.map(shown) : child;
}

/** Escape the text of all elements from now on. To be called before the first is created. */
export function escapeWhatIsShown(): void {
  const before = options.vnode;
  options.vnode = (vnode: VNode) => {
    if (typeof vnode.type === 'string' || vnode.type === Fragment) {
      const props = vnode.props as Record<string, unknown>;
      if (typeof props.children === 'string' || Array.isArray(props.children)) {
        props.children = shown(props.children);
      }
      for (const name of SHOWN) {
        if (typeof props[name] === 'string') {
          props[name] = printableLines(props[name]);
        }
      }
    }
    before?.(vnode);
  };
}
