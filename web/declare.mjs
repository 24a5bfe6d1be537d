/**
 * The types of the client library in one file, beside it: `/client.d.ts`.
 *
 * The compiler writes a declaration file for each module. What `library.ts` exports is picked from
 * them, with all that those declarations name, and nothing else.
 */

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = new URL('node_modules/.declarations/', import.meta.url);
const target = new URL('../pushsvc/web/client.d.ts', import.meta.url);

// At the beginning of a line: within a declaration everything is indented.
const DECLARATION =
  /(?:^\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?^(?:export )?((?:declare )?(?:abstract )?(?:interface|type|class|function|const) (\w+)[\s\S]*?)(?=^\/\*\*|^export |^declare |^interface |^type |^import |(?![\s\S]))/gm;

/** Every declaration of every module by its name, with the comment above it. */
const declarations = new Map();
for (const file of readdirSync(folder, { recursive: true })) {
  if (!file.endsWith('.d.ts')) {
    continue;
  }
  for (const [whole, , name] of readFileSync(new URL(file, folder), 'utf8').matchAll(DECLARATION)) {
    if (declarations.has(name)) {
      throw new Error(`two declarations of ${name}: one file can hold only one`);
    }
    // What is private is nobody's, and has no types here anyway.
    const text = whole.replace(/^export /m, '').replaceAll(/^ {4}private .*\n/gm, '');
    declarations.set(name, text.trim());
  }
}

const picked = new Map();
function pick(name) {
  const text = declarations.get(name);
  if (text === undefined || picked.has(name)) {
    return;
  }
  picked.set(name, text);
  // Types have capitals; what only a comment names is not needed.
  for (const [word] of text.replaceAll(/\/\*\*[\s\S]*?\*\//g, '').matchAll(/\b[A-Z]\w*/g)) {
    pick(word);
  }
}

const library = readFileSync(new URL('library.d.ts', folder), 'utf8');
const exported = [];
for (const [, onlyTypes, names] of library.matchAll(/^export (type )?\{([^}]*)\}/gm)) {
  for (const name of names
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean)) {
    const plain = name.replace(/^type /, '');
    if (!declarations.has(plain)) {
      throw new Error(`${plain} is exported, and nowhere declared`);
    }
    pick(plain);
    exported.push(onlyTypes ? `type ${plain}` : name);
  }
}

const head = '/** The client of a pushsvc service: the types of `/client.js`. */';
const tail = `export {\n${exported.map((name) => `  ${name},\n`).join('')}};`;
writeFileSync(target, `${[head, ...picked.values(), tail].join('\n\n')}\n`);
rmSync(folder, { recursive: true });
console.log(`${fileURLToPath(target)}: ${picked.size} declarations`);
