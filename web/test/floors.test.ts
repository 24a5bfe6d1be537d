/**
 * Imports point down only: a file knows what stands on the floors below it and beside it in its own
 * room, never what stands above. Imports of types count as well, and those of parts that are loaded
 * later.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'vite';
import { expect, test } from 'vitest';

/** From the bottom up. A room is a folder, or a file of a folder that has rooms within it. */
const FLOORS: readonly (readonly string[])[] = [
  ['style', 'editor/style'],
  ['format', 'browser'],
  // The client library, which has nothing but itself.
  ['client/protocol'],
  ['client/data', 'client/links'],
  ['client/stream'],
  ['client/subscriptions'],
  ['client/tabs'],
  ['client'],
  // What is shown, and how: without components.
  ['store'],
  ['chart'],
  ['chart/styled'],
  ['panels'],
  ['dashboards'],
  ['state'],
  // Components.
  ['ui'],
  ['ui/chart', 'ui/shares'],
  ['ui/panel', 'ui/header'],
  ['editor/model'],
  ['editor/fields'],
  ['editor'],
  ['board', 'search'],
  ['page'],
  ['doctor', 'docs', 'clients'],
  ['.'],
];
/** Others get the client by itself: it has no libraries, and nothing of the page. */
const ALONE = 'client';
const MOST_FILES = 15;

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url));
const PATHS = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).sort();
const FILES = PATHS.filter((path) => /\.tsx?$/.test(path));
const RANK = new Map(FLOORS.flatMap((rooms, rank) => rooms.map((room) => [room, rank] as const)));

/** What a file imports, as it is written there. */
function importsOf(path: string, text: string): string[] {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) {
    throw new SyntaxError(`${path}: ${errors[0]!.message}`);
  }
  const found: string[] = [];
  JSON.stringify(program, (_, node) => {
    // An import, an export from elsewhere, `import(…)`, and `import(…)` as a type.
    const source = node?.source;
    if (typeof source?.value === 'string' && /Import|Export/.test(node.type)) {
      found.push(source.value);
    }
    return typeof node === 'bigint' ? null : node;
  });
  return found;
}

const IMPORTS = new Map(
  FILES.map((path) => [path, importsOf(path, readFileSync(join(SOURCE, path), 'utf8'))] as const),
);

/** The path within `src` that an import leads to, whatever is made of it; null for a library. */
function targetOf(path: string, imported: string): string | null {
  const [file] = imported.split('?');
  return imported.startsWith('.') ? normalize(join(dirname(path), file!)) : null;
}

/** What is wrong with the imports of a file. */
function complaints(path: string, imports: readonly string[]): string[] {
  const room = dirname(path);
  const rank = RANK.get(room);
  if (rank === undefined) {
    return [`${path} is on no floor: add ${room} to web/test/floors.test.ts`];
  }
  return imports.flatMap((imported) => {
    const target = targetOf(path, imported);
    const alone = room === ALONE || room.startsWith(`${ALONE}/`);
    if (target === null) {
      return alone ? [`${path} imports ${imported}: the client has no libraries`] : [];
    }
    const other = dirname(target);
    const theirs = RANK.get(other);
    if (theirs === undefined) {
      return [`${path} imports ${target}: that is on no floor`];
    }
    if (alone && other !== ALONE && !other.startsWith(`${ALONE}/`)) {
      return [`${path} imports ${target}: the client has nothing of the page`];
    }
    return room === other || theirs < rank
      ? []
      : [`${path} imports ${target}: ${room} may not import ${other}`];
  });
}

/** Files that need each other, however far around: each strongly connected component of several. */
function rings(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const reached = new Map<string, ReadonlySet<string>>();
  for (const from of imports.keys()) {
    const seen = new Set<string>();
    const waiting = [from];
    for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
      for (const next of imports.get(file) ?? []) {
        if (!seen.has(next)) {
          seen.add(next);
          waiting.push(next);
        }
      }
    }
    reached.set(from, seen);
  }
  const found = new Set<string>();
  for (const [file, seen] of reached) {
    if (seen.has(file)) {
      const ring = [...seen].filter((one) => reached.get(one)?.has(file));
      found.add(ring.sort().join(' '));
    }
  }
  return [...found].sort().map((ring) => ring.split(' '));
}

test('imports point down', () => {
  expect(FILES.length).toBeGreaterThan(100);
  const found = [...IMPORTS].flatMap(([path, imports]) => complaints(path, imports));
  expect(found).toEqual([]);
});

test('what is imported is there', () => {
  const gone = [...IMPORTS].flatMap(([path, imports]) =>
    imports
      .map((imported) => targetOf(path, imported))
      .filter((target) => target !== null && !existsSync(join(SOURCE, target))),
  );
  expect(gone).toEqual([]);
});

test.each([
  ['chart/x.ts', "import type { A } from '../panels/model.ts';", 'chart may not import panels'],
  ['ui/x.tsx', "import '../page/ahead.ts';", 'ui may not import page'],
  ['ui/x.tsx', "const a = () => import('../board/board.tsx');", 'ui may not import board'],
  ['panels/x.ts', "let a: typeof import('../ui/icon.tsx');", 'panels may not import ui'],
  ['store/x.ts', "export * from '../state/dashboard.ts';", 'store may not import state'],
  ['store/x.ts', "export type { A } from '../state/view.ts';", 'store may not import state'],
  ['ui/panel/x.tsx', "import { H } from '../header/header.tsx';", 'may not import ui/header'],
  ['client/data/x.ts', "import { a } from '../links/race.ts';", 'may not import client/links'],
  ['client/x.ts', "import { a } from '../format/time.ts';", 'the client has nothing of the page'],
  ['client/stream/x.ts', "import { signal } from '@preact/signals';", 'has no libraries'],
  ['new/x.ts', '', 'new/x.ts is on no floor'],
  ['ui/x.ts', "import { a } from '../new/x.ts';", 'that is on no floor'],
])('an arrow upwards is found: %s, %s', (path, text, complaint) => {
  const found = complaints(path, importsOf(path, text));
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(complaint);
});

test.each([
  ['ui/x.tsx', "import { a } from './y.ts';\nimport { render } from 'preact';"],
  ['board/x.tsx', "const a = () => import('../editor/editor.tsx');"],
  ['client/tabs/x.ts', "import type { A } from '../stream/stream.ts';"],
  ['main.tsx', "import { Page } from './page/page.tsx';\nimport './style/page.css';"],
])('an arrow down is fine: %s', (path, text) => {
  expect(complaints(path, importsOf(path, text))).toEqual([]);
});

test('no files need each other', () => {
  const imports = new Map(
    [...IMPORTS].map(([path, imports]) => [
      path,
      imports.flatMap((imported) => targetOf(path, imported) ?? []),
    ]),
  );
  expect(rings(imports)).toEqual([]);
});

test('a ring is found', () => {
  const imports = new Map([
    ['a', ['b']],
    ['b', ['c']],
    ['c', ['b', 'd']],
    ['d', []],
    ['e', ['a']],
  ]);
  expect(rings(imports)).toEqual([['b', 'c']]);
});

test('no folder has more files than one can look over, and none is without files', () => {
  const counts = new Map<string, number>();
  for (const path of PATHS.filter((one) => /\.\w+$/.test(one))) {
    counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  }
  expect([...counts].filter(([, count]) => count > MOST_FILES)).toEqual([]);
  expect([...RANK.keys()].filter((room) => !counts.has(room))).toEqual([]);
});

test('what is private is so by the language, whose short names make the page lighter', () => {
  const marked = FILES.filter((path) =>
    /^ *private\b/m.test(readFileSync(join(SOURCE, path), 'utf8')),
  );
  expect(marked).toEqual([]);
});
