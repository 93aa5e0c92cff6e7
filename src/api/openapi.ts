import { z } from 'zod';
import type { Endpoint } from './endpoint.ts';
import { PROBLEM_TYPE, problemSchema } from './problem.ts';

type Json = Record<string, unknown>;

/** What a document says beside its endpoints. */
export interface ApiDescription<E extends Endpoint> {
  /** What the API is for. */
  readonly description: string;
  /** How a token is sent; undefined: whoever reaches the address may call it. */
  readonly bearer?: string;
  /** For whom it is, as the end of a sentence that begins with 'For'; undefined: nothing is said. */
  readonly callers?: (endpoint: E) => string;
  /** It may be called without a token too. */
  readonly open?: (endpoint: E) => boolean;
}

/** The OpenAPI 3.1 document of these endpoints. */
export function openApiDocument<E extends Endpoint>(endpoints: readonly E[], api: ApiDescription<E>): Json {
  const paths: Record<string, Json> = {};
  for (const it of endpoints) {
    paths[it.path] = { ...paths[it.path], [it.method.toLowerCase()]: describe(it, api) };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Slipway',
      version: '1',
      description: api.description,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/api/v1' }],
    tags: [...new Set(endpoints.map(({ tag }) => tag))].map((name) => ({ name })),
    ...(api.bearer && { security: [{ bearer: [] }] }),
    paths,
    components: {
      ...(api.bearer && {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: api.bearer } },
      }),
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
    },
  };
}

function describe<E extends Endpoint>(it: E, { callers, open }: ApiDescription<E>): Json {
  const type = it.lines ? 'application/x-ndjson' : 'application/json';
  const status = String(it.status ?? (it.reply ? 200 : 204));
  return {
    operationId: it.id,
    tags: [it.tag],
    summary: it.summary,
    description: [it.description, callers && `For ${callers(it)}.`].filter(Boolean).join('\n\n'),
    ...(open?.(it) && { security: [{}, { bearer: [] }] }),
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
        ...(it.reply && { content: { [type]: { schema: jsonSchema(it.reply, 'output') } } }),
      },
      default: {
        description: 'What went wrong.',
        content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
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
