import { createElement, Fragment, type VNode } from 'preact';
import { jsx } from 'preact/jsx-runtime';
import { beforeAll, expect, test } from 'vitest';
import { formatOf } from '../../src/format/units.ts';
import { escapeWhatIsShown, printableLines } from '../../src/ui/strangers.ts';

const EVIL = 'a\u202eb\u0007';
const SHOWN = 'a\\u202eb\\u0007';

beforeAll(escapeWhatIsShown);

const propsOf = (vnode: unknown) => (vnode as VNode<Record<string, unknown>>).props;

test('what elements show is escaped, by whichever call they are made', () => {
  const attributes = { title: EVIL, 'aria-label': EVIL, label: EVIL, alt: EVIL };
  const escaped = { title: SHOWN, 'aria-label': SHOWN, label: SHOWN, alt: SHOWN };
  expect(propsOf(createElement('p', attributes, EVIL))).toEqual({ ...escaped, children: SHOWN });
  expect(propsOf(jsx('p', { ...attributes, children: EVIL }))).toEqual({
    ...escaped,
    children: SHOWN,
  });
  expect(propsOf(jsx(Fragment, { children: [EVIL, [EVIL, 1], null] })).children).toEqual([
    SHOWN,
    [SHOWN, 1],
    null,
  ]);
});

test('what is not shown is left as it is', () => {
  const props = { value: EVIL, href: EVIL, key: EVIL, 'data-name': EVIL };
  expect(propsOf(createElement('input', props))).toMatchObject({ value: EVIL, href: EVIL });
  const Component = (): null => null;
  expect(propsOf(createElement(Component, { title: EVIL }, EVIL))).toEqual({
    title: EVIL,
    children: EVIL,
  });
});

test('units are escaped where values are written, also on what is drawn', () => {
  expect(formatOf(EVIL).value(1)).toContain(SHOWN);
});

test('lines stay lines', () => {
  expect(printableLines('a\nb\u2066\n')).toBe('a\nb\\u2066\n');
});
