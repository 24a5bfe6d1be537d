/** Shows the two documents: a list of their entries, and what each of them says. */

import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { decoded } from '../format/percent.ts';
import { type Chapter, type Entry, type Piece, type Row, search } from './model.ts';

const words = signal('');

/** A fragment alone would be relative to the page's base, which is another address. */
function to(id: string): string {
  return `docs#${id}`;
}

export function Docs({ version, chapters }: { version: string; chapters: readonly Chapter[] }) {
  const found = search(chapters, words.value);
  const leftOut = useRef(false);
  const show = () => {
    const id = decoded(location.hash.slice(1));
    const target = document.getElementById(id);
    leftOut.current = target === null && id !== '' && words.value !== '';
    if (leftOut.current) {
      words.value = ''; // shown once it is there
    } else if (target !== null) {
      target.scrollIntoView();
      target.focus({ preventScroll: true });
    }
  };
  useEffect(() => {
    show();
    addEventListener('hashchange', show);
    return () => removeEventListener('hashchange', show);
  }, []);
  useEffect(() => {
    if (leftOut.current) {
      show();
    }
  }, [words.value]);
  return (
    <div class="docs">
      <header>
        <h1>
          <a href="./">pushsvc</a> API <small>{version}</small>
        </h1>
        <p>
          As programs read it: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1) and{' '}
          <a href="asyncapi.json">asyncapi.json</a> (AsyncAPI 3).
        </p>
        <label>
          <span class="unseen">Search</span>
          <input
            type="search"
            placeholder="Search"
            value={words.value}
            onInput={(event) => (words.value = event.currentTarget.value)}
          />
        </label>
      </header>
      <nav aria-label="What there is">
        {found.map(({ title, entries }) => (
          <details open={!title.startsWith('Types') || words.value !== ''} key={title}>
            <summary>{title}</summary>
            <ul>
              {entries.map((entry) => (
                <li key={entry.id}>
                  <a href={to(entry.id)}>
                    {entry.method !== '' && <b>{entry.method} </b>}
                    {entry.path}
                  </a>
                </li>
              ))}
            </ul>
          </details>
        ))}
      </nav>
      <main>
        {found.map((chapter) => (
          <section key={chapter.title} aria-label={chapter.title}>
            <h2>{chapter.title}</h2>
            <p>{chapter.text}</p>
            {chapter.entries.map((entry) => (
              <Article entry={entry} key={entry.id} />
            ))}
          </section>
        ))}
        <p role="status">{found.length === 0 && 'There is nothing with these words.'}</p>
      </main>
    </div>
  );
}

function Article({ entry }: { entry: Entry }) {
  const { id, method, path, title, text, access, sections } = entry;
  return (
    <article id={id} tabIndex={-1} aria-labelledby={`${id}-name`}>
      <h3 id={`${id}-name`}>
        {method !== '' && <b class={method}>{method}</b>} <a href={to(id)}>{path}</a>
      </h3>
      {title !== '' && <p class="title">{title}</p>}
      {text !== '' && <p>{text}</p>}
      {method !== '' && (
        <p class="access">
          {access.length === 0
            ? 'Open: no token is asked for.'
            : `Where access is controlled, a token by: ${access.join(', ')}.`}
        </p>
      )}
      {sections.map(({ title, rows }) => (
        <div key={title}>
          <h4>{title}</h4>
          <dl>
            {rows.map((row) => (
              <Line row={row} key={row.name} />
            ))}
          </dl>
        </div>
      ))}
    </article>
  );
}

function Line({ row: { name, note, type, text } }: { row: Row }) {
  return (
    <div>
      <dt>
        <code>{name}</code> {note !== '' && <small>{note}</small>}
      </dt>
      <dd>
        {text !== '' && <p>{text}</p>}
        {type.length > 0 && (
          <p class="type">
            {type.map((piece, at) => (
              <Said piece={piece} key={at} />
            ))}
          </p>
        )}
      </dd>
    </div>
  );
}

function Said({ piece }: { piece: Piece }) {
  if (typeof piece === 'string') {
    return <>{piece}</>;
  }
  return <a href={to(piece.named)}>{piece.named.replace(/^.*-type-/, '')}</a>;
}
