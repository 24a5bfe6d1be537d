/**
 * Reads OpenAPI and AsyncAPI documents as chapters of entries, which have rows. It knows only what
 * this service's own documents use.
 */

/** The parts of a JSON Schema that are read. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  /** Draft 7 uses a list of schemas for a tuple. */
  readonly items?: Schema | readonly Schema[];
  readonly prefixItems?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly default?: unknown;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly description?: string;
}

/** A part of the description of a type: text, or the name of a schema with an entry of its own. */
export type Piece = string | { readonly named: string };

/** A parameter, an answer, a message, or a member of an object. */
export interface Row {
  readonly name: string;
  /** Where a parameter stands, or whether a member is required. */
  readonly note: string;
  readonly type: readonly Piece[];
  readonly text: string;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** An operation, a channel or a schema. */
export interface Entry {
  /** Unique on the page. */
  readonly id: string;
  /** The HTTP method, or WS for a WebSocket; empty for a schema. */
  readonly method: string;
  /** The path, or the name of a schema. */
  readonly path: string;
  readonly title: string;
  readonly text: string;
  /** The security schemes that allow the request; empty if everyone may send it. */
  readonly access: readonly string[];
  readonly sections: readonly Section[];
}

export interface Chapter {
  readonly title: string;
  readonly text: string;
  readonly entries: readonly Entry[];
}

interface Ref {
  readonly $ref: string;
}

type Contents = Readonly<Record<string, { readonly schema?: Schema }>>;

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Contents };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Contents }>
  >;
  readonly security?: readonly Readonly<Record<string, unknown>>[];
}

export interface OpenApi {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Message {
  readonly name: string;
  readonly description?: string;
  readonly payload: Schema;
}

export interface AsyncApi {
  readonly info: { readonly description: string };
  readonly channels: Readonly<
    Record<
      string,
      {
        readonly address: string;
        readonly title: string;
        readonly description: string;
        readonly messages: Readonly<Record<string, Message>>;
        readonly bindings?: {
          readonly ws?: { readonly query?: { readonly properties?: Record<string, Schema> } };
        };
      }
    >
  >;
  readonly operations: Readonly<
    Record<
      string,
      {
        readonly action: 'send' | 'receive';
        readonly channel: Ref;
        readonly messages: readonly Ref[];
        readonly security?: readonly Ref[];
      }
    >
  >;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** The operations grouped by tag, and the schemas. */
export function chaptersOfOpenApi(api: OpenApi): Chapter[] {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => ({
      tags: one.tags,
      entry: http(path, method, one),
    })),
  );
  return [
    ...api.tags.map(({ name, description }) => ({
      title: name,
      text: description,
      entries: operations.filter(({ tags }) => tags.includes(name)).map(({ entry }) => entry),
    })),
    types('Types', 'http', api.components.schemas),
  ];
}

/** The channels, and the schemas. */
export function chaptersOfAsyncApi(api: AsyncApi): Chapter[] {
  const channels = Object.entries(api.channels).map(([key, channel]) => {
    const operations = Object.values(api.operations).filter(({ channel }) => last(channel) === key);
    const query = channel.bindings?.ws?.query?.properties ?? {};
    const sections = [
      { title: 'Parameters', rows: members({ properties: query }, 'websocket') },
      ...operations.map(({ action, messages }) => ({
        title: action === 'send' ? 'The service sends' : 'The service takes',
        rows: messages.map((ref) => {
          const message = channel.messages[last(ref)]!;
          return {
            name: message.name,
            note: '',
            type: typeOf(message.payload, 'websocket'),
            text: message.description ?? '',
          };
        }),
      })),
    ];
    return {
      id: `websocket-${key}`,
      method: 'WS',
      path: `/${channel.address}`,
      title: channel.title,
      text: channel.description,
      access: [...new Set(operations.flatMap(({ security }) => security ?? []).map(last))],
      sections: sections.filter(({ rows }) => rows.length > 0),
    };
  });
  return [
    { title: 'WebSockets', text: api.info.description, entries: channels },
    types('Types of messages', 'websocket', api.components.schemas),
  ];
}

function last({ $ref }: Ref): string {
  return $ref.slice($ref.lastIndexOf('/') + 1);
}

function http(path: string, method: string, operation: Operation): Entry {
  const { parameters = [], requestBody, responses } = operation;
  const sections = [
    {
      title: 'Parameters',
      rows: parameters.map((one) => ({
        name: one.name,
        note: one.required ? `${one.in}, required` : one.in,
        type: typeOf(one.schema, 'http'),
        text: one.description ?? one.schema.description ?? '',
      })),
    },
    {
      title: requestBody?.required ? 'Body, required' : 'Body',
      rows: contents(requestBody?.content ?? {}),
    },
    {
      title: 'Answers',
      rows: Object.entries(responses).map(([status, { description, content = {} }]) => {
        const rows = contents(content);
        return {
          name: status,
          note: rows.map(({ name }) => name).join(', '),
          type: either([...new Set(rows.map(({ type }) => JSON.stringify(type)))].map(parsed)),
          text: description,
        };
      }),
    },
  ];
  return {
    id: `http-${operation.operationId}`,
    method: method.toUpperCase(),
    path,
    title: operation.summary,
    text: operation.description ?? '',
    access: [...new Set((operation.security ?? []).flatMap((one) => Object.keys(one)))],
    sections: sections.filter(({ rows }) => rows.length > 0),
  };
}

function parsed(text: string): Piece[] {
  return JSON.parse(text) as Piece[];
}

function contents(content: Contents): Row[] {
  return Object.entries(content).map(([mediaType, { schema }]) => ({
    name: mediaType,
    note: '',
    type: schema === undefined ? [] : typeOf(schema, 'http'),
    text: '',
  }));
}

function types(title: string, kind: string, schemas: Readonly<Record<string, Schema>>): Chapter {
  const entries = Object.entries(schemas).map(([name, schema]) => {
    const rows = members(schema, kind);
    return {
      id: `${kind}-type-${name}`,
      method: '',
      path: name,
      title: '',
      text: schema.description ?? '',
      access: [],
      sections: [
        rows.length > 0
          ? { title: 'Members', rows }
          : { title: 'Is', rows: [{ name: '', note: '', type: typeOf(schema, kind), text: '' }] },
      ],
    };
  });
  return { title, text: 'What is named above.', entries };
}

/** The members of an object. Those of nested objects follow, with the outer name in front. */
function members(schema: Schema, kind: string): Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, one]) => {
    const inner = one.type === 'array' && !Array.isArray(one.items) ? (one.items as Schema) : one;
    const between = inner === one ? '.' : '[].';
    return [
      {
        name,
        note: schema.required?.includes(name) ? 'required' : '',
        type: typeOf(one, kind),
        text: one.description ?? '',
      },
      ...(inner?.properties === undefined
        ? []
        : members(inner, kind).map((row) => ({ ...row, name: `${name}${between}${row.name}` }))),
    ];
  });
}

/** The description of a type in one line. */
export function typeOf(schema: Schema, kind: string): Piece[] {
  const limits = limitsOf(schema);
  return limits === '' ? bare(schema, kind) : [...bare(schema, kind), `, ${limits}`];
}

function bare(schema: Schema, kind: string): Piece[] {
  const alternatives = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (schema.$ref !== undefined) {
    return [{ named: `${kind}-type-${last({ $ref: schema.$ref })}` }];
  }
  if (schema.const !== undefined) {
    return [JSON.stringify(schema.const)];
  }
  if (schema.enum !== undefined) {
    return [schema.enum.map((value) => JSON.stringify(value)).join(' or ')];
  }
  if (alternatives !== undefined) {
    return either(alternatives.map((one) => typeOf(one, kind)));
  }
  if (schema.type === 'array') {
    const tuple = schema.prefixItems ?? (Array.isArray(schema.items) ? schema.items : null);
    if (tuple !== null) {
      const pieces = tuple.flatMap((one, at) =>
        (at === 0 ? [] : [', ' as Piece]).concat(bare(one, kind)),
      );
      return ['[', ...pieces, ']'];
    }
    return schema.items === undefined
      ? ['list']
      : ['list of ', ...bare(schema.items as Schema, kind)];
  }
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object') {
    return ['object of ', ...typeOf(schema.additionalProperties, kind)];
  }
  return [schema.type === undefined ? 'anything' : [schema.type].flat().join(' or ')];
}

function either(alternatives: readonly (readonly Piece[])[]): Piece[] {
  return alternatives.flatMap((one, at) => (at === 0 ? [] : [' or ' as Piece]).concat(one));
}

function limitsOf(schema: Schema): string {
  return [
    schema.minimum !== undefined && `at least ${schema.minimum}`,
    schema.exclusiveMinimum !== undefined && `more than ${schema.exclusiveMinimum}`,
    schema.maximum !== undefined && `at most ${schema.maximum}`,
    schema.minLength !== undefined && `${schema.minLength} characters or more`,
    schema.maxLength !== undefined && `${schema.maxLength} characters at most`,
    schema.minItems !== undefined && `${schema.minItems} or more`,
    schema.maxItems !== undefined && `${schema.maxItems} at most`,
    schema.pattern !== undefined && `as ${schema.pattern}`,
    schema.default !== undefined &&
      schema.default !== null &&
      `${JSON.stringify(schema.default)} if left out`,
  ]
    .filter((one) => one !== false)
    .join(', ');
}

/** The entries that contain all of these words, by chapter. Chapters without any are left out. */
export function search(chapters: readonly Chapter[], words: string): readonly Chapter[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) {
    return chapters;
  }
  return chapters
    .map((chapter) => ({
      ...chapter,
      entries: chapter.entries.filter((entry) => {
        const text = JSON.stringify(entry).toLowerCase();
        return wanted.every((word) => text.includes(word));
      }),
    }))
    .filter(({ entries }) => entries.length > 0);
}
