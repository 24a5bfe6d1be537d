import { expect, test } from 'vitest';
import { read, write } from '../src/dashboards/address.ts';
import { fillIn } from '../src/dashboards/model.ts';

test('an address says what is shown, and is read as it is written', () => {
  const at = (text: string) => {
    const { pathname, search } = new URL(text, 'http://test');
    return read({ pathname, search });
  };
  expect(at('/?edit')).toEqual({
    name: null,
    panel: null,
    kiosk: false,
    edit: false,
    window: null,
    values: {},
  });
  expect(at('/d/node-1?window=5m&var-host=a%26b&kiosk')).toEqual({
    name: 'node-1',
    panel: null,
    kiosk: true,
    edit: false,
    window: '5m',
    values: { host: 'a&b' },
  });
  expect(at('/d/node?edit')).toMatchObject({ kiosk: false, edit: true });
  expect(at('/d/node?panel=cpu')).toMatchObject({ panel: 'cpu', kiosk: true });
  // Relative to where the page has its root, which may be under any path.
  for (const root of ['https://host/', 'https://host/under/a/path/', 'https://host/d/']) {
    for (const text of [
      '',
      'd/node-1?window=5m&var-host=a%26b',
      'd/node?panel=cpu',
      'd/node?edit=',
    ]) {
      const { href, pathname, search } = new URL(text, root);
      expect(new URL(write(read({ pathname, search })), root).href).toBe(href);
    }
  }
});

test('a variable is filled in within quotes, as text', () => {
  const fill = (selector: string) => fillIn(selector, { ns: 'a.b"\\', name: 'x' });
  expect(fill('up{namespace="$ns"}')).toBe('up{namespace="a.b\\"\\\\"}');
  expect(fill('up{namespace=~"$ns|$name"}')).toBe('up{namespace=~"a\\\\.b\\"\\\\\\\\|x"}');
  expect(fill('up{a!="$name",b="$other"}')).toBe('up{a!="x",b="$other"}');
  expect(fill('up')).toBe('up');
});
