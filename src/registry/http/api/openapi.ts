import { z } from 'zod';
import type { Operation } from './operation.ts';
import { problemSchema } from './problem.ts';

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of these operations. */
export function openApiDocument(operations: readonly Operation[]): Json {
  const paths: Record<string, Json> = {};
  for (const it of operations) {
    paths[it.path] = { ...paths[it.path], [it.method.toLowerCase()]: describe(it) };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Slipway',
      version: '1',
      description: 'What a registry is administered with. Images are pushed and pulled below /v2/.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/api/v1' }],
    tags: [...new Set(operations.map(({ tag }) => tag))].map((name) => ({ name })),
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A token of this registry.' },
      },
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
    },
  };
}

function describe(it: Operation): Json {
  const status = String(it.status ?? (it.reply ? 200 : 204));
  return {
    operationId: it.id,
    tags: [it.tag],
    summary: it.summary,
    description: [it.description, `For ${callers(it)}.`].filter(Boolean).join('\n\n'),
    ...(it.caller === 'anyone' && { security: [{}, { bearer: [] }] }),
    parameters: [...parameters('path', it.params), ...parameters('query', it.query)],
    ...(it.body && {
      requestBody: {
        required: !it.body.safeParse(undefined).success,
        content: { 'application/json': { schema: jsonSchema(it.body, 'input') } },
      },
    }),
    responses: {
      [status]: {
        description: it.reply ? 'Done.' : 'Done; there is nothing to say.',
        ...(it.reply && { content: { 'application/json': { schema: jsonSchema(it.reply, 'output') } } }),
      },
      default: {
        description: 'What went wrong.',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

function callers({ caller }: Operation): string {
  if (caller === 'anyone') return 'everyone, who sees what is theirs to see';
  if (caller === 'admin') return 'administrators';
  if ('namespace' in caller) return 'administrators of the namespace';
  return `those who may ${caller.action} the repository`;
}

function parameters(place: 'path' | 'query', schema: z.ZodType | undefined): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(description !== undefined && { description }),
    schema: rest,
  }));
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  // What JSON Schema has no words for (a transform's outcome) is left open.
  const { $schema, $id, id, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ jsonSchema: found }) => {
      if (found.format === 'date-time') delete found.pattern;
      if (found.maximum === Number.MAX_SAFE_INTEGER) delete found.maximum;
      if (found.minimum === Number.MIN_SAFE_INTEGER) delete found.minimum;
    },
  }) as Json;
  return rest;
}
