import { afterEach, expect, test, vi } from 'vitest';
import { byPlace, convert, isForeign } from '../../src/editor/model/importing.ts';
import { Session } from '../../src/editor/model/session.ts';

afterEach(() => vi.unstubAllGlobals());

const OURS = { title: 'Ours', panels: [{ id: 'a', kind: 'line', select: 'up' }] };
const GRAFANA = { title: 'Theirs', panels: [{ type: 'stat', targets: [] }] };

test.each([
  [JSON.stringify(OURS), false],
  [JSON.stringify(GRAFANA), true],
  ['{"title":"x","panels":[],"schemaVersion":39}', true],
  ['{"title":"x","rows":[]}', true],
  ['{"dashboard":{},"meta":{}}', true],
  ['{"apiVersion":"dashboard.grafana.app/v2beta1","spec":{}}', true],
  ['{"title":"x","panels":[null]}', false],
  ['{', false],
  ['null', false],
])('of Grafana’s: %s', (text, foreign) => {
  expect(isForeign(text)).toBe(foreign);
});

test('what is left out is said before anything is taken', async () => {
  const answer = {
    source: 'grafana',
    dashboard: OURS,
    panels: 2,
    taken: 1,
    left_out: [
      { where: 'Logs', reason: 'no PromQL' },
      { where: 'dashboard', reason: 'its tags' },
      { where: 'Logs', reason: 'its links' },
    ],
  };
  vi.stubGlobal('fetch', async () => Response.json(answer));
  const session = new Session(new URL('http://test/'), 'a', null, true);
  await session.takeFile(new File([JSON.stringify(GRAFANA)], 'theirs.json'));
  expect(session.opened.value).toEqual({
    form: 'imported',
    file: 'theirs.json',
    imported: answer,
  });
  expect(session.draft.dirty.value).toBe(true);
  expect(session.draft.undoable.value).toBe(false);
  expect([...byPlace(answer.left_out)]).toEqual([
    ['Logs', ['no PromQL', 'its links']],
    ['dashboard', ['its tags']],
  ]);
  session.take(answer.dashboard as never, 'theirs.json');
  expect(session.opened.value).toBeNull();
  expect(session.draft.undoable.value).toBe(true);
  expect(session.said.value).toBe('Took in theirs.json; it isn’t saved yet');
});

test('why a file can’t be taken is what the service says', async () => {
  vi.stubGlobal('fetch', async () =>
    Response.json({ detail: 'export as Classic' }, { status: 422 }),
  );
  await expect(convert('{}')).rejects.toThrow('export as Classic');
  const session = new Session(new URL('http://test/'), 'a', null, true);
  await session.takeFile(new File(['{"elements":{}}'], 'new.json'));
  expect(session.opened.value).toBeNull();
  expect(session.failure.value).toBe('new.json is no dashboard: export as Classic.');
});
