import { afterEach, expect, test, vi } from 'vitest';
import { Session } from '../../src/editor/model/session.ts';

afterEach(() => vi.unstubAllGlobals());

const ORIGIN = new URL('http://test/');
const kept = { title: 'A', panels: [] };

/** A service that answers in turn, and remembers what it was asked. */
function service(...answers: readonly Response[]) {
  const asked: { method: string; path: string; condition: string | null; body: unknown }[] = [];
  const rest = [...answers];
  vi.stubGlobal('fetch', async (url: string | URL, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    asked.push({
      method: init.method ?? 'GET',
      path: new URL(url, ORIGIN).pathname,
      condition: headers.get('If-Match') ?? headers.get('If-None-Match'),
      body: init.body === undefined ? null : JSON.parse(String(init.body)),
    });
    const answer = rest.shift();
    if (answer === undefined) {
      throw new TypeError('failed to fetch');
    }
    return answer;
  });
  return asked;
}

const saved = (etag: string) => Response.json({}, { headers: { ETag: etag } });
const problem = (status: number, detail: string) => Response.json({ detail }, { status });

test('what was loaded is replaced if it still is what it was', async () => {
  const asked = service(saved('"2"'), saved('"3"'));
  const session = new Session(ORIGIN, 'a', { kept, etag: '"1"' }, true);
  session.draft.change({ ...kept, title: 'B' });
  expect(session.unsaved).toBe(true);
  expect(await session.keep()).toBe(true);
  expect([session.unsaved, session.said.value]).toEqual([false, 'Saved as a']);
  session.undo();
  expect(session.unsaved).toBe(true);
  await session.keep();
  expect(asked.map(({ method, path, condition }) => [method, path, condition])).toEqual([
    ['PUT', '/v1/dashboards/a', '"1"'],
    ['PUT', '/v1/dashboards/a', '"2"'],
  ]);
  expect(asked.map(({ body }) => (body as { title: string }).title)).toEqual(['B', 'A']);
});

test('what is new, provisioned or shipped asks for a name, and replaces nothing', async () => {
  for (const session of [
    new Session(ORIGIN, 'dashboard', null, true),
    new Session(ORIGIN, 'host', { kept, etag: '"1"' }, false),
  ]) {
    const asked = service(problem(412, 'there is one'), saved('"5"'), saved('"6"'));
    expect(session.unsaved).toBe(false);
    expect(await session.keep()).toBe(false);
    expect(session.opened.value).toEqual({ form: 'name', reason: '' });
    expect(await session.keepAs('taken')).toBe(false);
    expect(session.opened.value).toMatchObject({ reason: 'There is a dashboard taken already.' });
    expect(await session.keepAs('mine')).toBe(true);
    session.draft.change({ ...kept, title: 'C' });
    expect(await session.keep()).toBe(true);
    expect(asked.map(({ path, condition }) => [path, condition])).toEqual([
      ['/v1/dashboards/taken', '*'],
      ['/v1/dashboards/mine', '*'],
      ['/v1/dashboards/mine', '"5"'],
    ]);
  }
});

test('nothing is lost where the service is gone, or says no', async () => {
  service(problem(403, 'only operators save dashboards'));
  const session = new Session(ORIGIN, 'a', { kept, etag: '"1"' }, true);
  session.draft.change({ ...kept, title: 'B' });
  expect(await session.keep()).toBe(false);
  expect(session.failure.value).toBe('Not saved: only operators save dashboards.');
  expect(await session.keep()).toBe(false);
  expect(session.failure.value).toContain('can’t be reached');
  expect([session.unsaved, session.draft.current.value.title]).toEqual([true, 'B']);
  service(saved('"2"'));
  expect(await session.keep()).toBe(true);
  expect(session.failure.value).toBe('');
});

test('of two who save the second chooses', async () => {
  const theirs = () => Response.json({ ...kept, title: 'Theirs' }, { headers: { ETag: '"9"' } });
  const asked = service(problem(412, 'changed'), theirs(), saved('"10"'));
  const session = new Session(ORIGIN, 'a', { kept, etag: '"1"' }, true);
  session.draft.change({ ...kept, title: 'Mine' });
  await session.keep();
  expect(session.opened.value).toEqual({ form: 'conflict' });
  await session.overwrite();
  expect(asked.at(-1)).toMatchObject({ condition: '"9"', body: { title: 'Mine' } });
  service(problem(412, 'changed'), theirs());
  session.draft.change({ ...kept, title: 'Mine again' });
  await session.keep();
  await session.takeTheirs();
  expect([session.draft.current.value.title, session.unsaved]).toEqual(['Theirs', false]);
  session.undo();
  expect(session.draft.current.value.title).toBe('Mine again');
  service(problem(412, 'changed'), new Response(null, { status: 204 }));
  expect(await session.dispose()).toBe(false);
  expect(session.failure.value).toContain('somebody else');
  expect(await session.dispose()).toBe(true);
});
