import { expect, test } from 'vitest';
import {
  type AsyncApi,
  chaptersOfAsyncApi,
  chaptersOfOpenApi,
  type OpenApi,
  type Schema,
  search,
  typeOf,
} from '../src/docs/model.ts';

const said = (schema: Schema) =>
  typeOf(schema, 'http')
    .map((piece) => (typeof piece === 'string' ? piece : `<${piece.named}>`))
    .join('');

test.each<[string, Schema]>([
  ['string', { type: 'string' }],
  ['anything', {}],
  ['"a" or "b" or null', { enum: ['a', 'b', null] }],
  ['<http-type-Sample>', { $ref: '#/components/schemas/Sample' }],
  ['list of <http-type-Sample>', { type: 'array', items: { $ref: '#/components/schemas/Sample' } }],
  ['[integer, number]', { type: 'array', items: [{ type: 'integer' }, { type: 'number' }] }],
  ['[integer]', { type: 'array', prefixItems: [{ type: 'integer' }] }],
  ['object of string', { type: 'object', additionalProperties: { type: 'string' } }],
  ['integer or null', { anyOf: [{ type: 'integer' }, { type: 'null' }], default: null }],
  ['integer or null', { type: ['integer', 'null'] }],
  ['integer, at least 4, 5 if left out', { type: 'integer', minimum: 4, default: 5 }],
  ['string, as ^a$', { type: 'string', pattern: '^a$' }],
])('a type is said as %s', (words, schema) => {
  expect(said(schema)).toBe(words);
});

const PROBLEM = { schema: { $ref: '#/components/schemas/Problem' } };
const HTTP: OpenApi = {
  info: { title: 'a', version: '1', description: '' },
  tags: [{ name: 'Producers', description: 'In.' }],
  paths: {
    '/v1/samples': {
      post: {
        operationId: 'samples',
        tags: ['Producers'],
        summary: 'Publish',
        parameters: [{ name: 'Key', in: 'header', required: true, schema: { type: 'string' } }],
        requestBody: { required: true, content: { 'application/json': {} } },
        responses: {
          200: { description: 'Applied.' },
          400: { description: 'No.', content: { a: PROBLEM, b: PROBLEM } },
        },
        security: [{ bearer: [] }],
      },
    },
  },
  components: {
    schemas: {
      Problem: {
        type: 'object',
        properties: { at: { type: 'object', properties: { line: { type: 'integer' } } } },
        required: ['at'],
      },
    },
  },
};

test('an operation is read with all that it says', () => {
  const [producers, types] = chaptersOfOpenApi(HTTP);
  const [entry] = producers!.entries;
  expect(entry).toMatchObject({ id: 'http-samples', method: 'POST', access: ['bearer'] });
  expect(entry!.sections.map(({ title }) => title)).toEqual([
    'Parameters',
    'Body, required',
    'Answers',
  ]);
  expect(entry!.sections[0]!.rows[0]!.note).toBe('header, required');
  expect(entry!.sections[2]!.rows[1]).toMatchObject({
    name: '400',
    note: 'a, b',
    type: [{ named: 'http-type-Problem' }],
  });
  const [members] = types!.entries[0]!.sections;
  expect(members!.rows.map(({ name }) => name)).toEqual(['at', 'at.line']);
});

test('a channel is read with what goes which way', () => {
  const api: AsyncApi = {
    info: { description: '' },
    channels: {
      stream: {
        address: 'v1/stream',
        title: 'Watch',
        description: '',
        messages: {
          hello: { name: 'hello', payload: { type: 'object' } },
          watch: { name: 'watch', payload: { type: 'object' } },
        },
        bindings: { ws: { query: { properties: { select: { type: 'string' } } } } },
      },
    },
    operations: {
      stream_send: {
        action: 'send',
        channel: { $ref: '#/channels/stream' },
        messages: [{ $ref: '#/channels/stream/messages/hello' }],
        security: [{ $ref: '#/components/securitySchemes/ticket' }],
      },
      stream_receive: {
        action: 'receive',
        channel: { $ref: '#/channels/stream' },
        messages: [{ $ref: '#/channels/stream/messages/watch' }],
      },
    },
    components: { schemas: {} },
  };
  const [entry] = chaptersOfAsyncApi(api)[0]!.entries;
  expect(entry).toMatchObject({ path: '/v1/stream', access: ['ticket'] });
  expect(
    entry!.sections.map(({ title, rows }) => [title, ...rows.map(({ name }) => name)]),
  ).toEqual([
    ['Parameters', 'select'],
    ['The service sends', 'hello'],
    ['The service takes', 'watch'],
  ]);
});

test('what is searched for is found by any of its words, and chapters without it are left out', () => {
  const chapters = chaptersOfOpenApi(HTTP);
  expect(search(chapters, ' ')).toBe(chapters);
  expect(search(chapters, 'publish applied').map(({ title }) => title)).toEqual(['Producers']);
  expect(search(chapters, 'publish nothing')).toEqual([]);
});
