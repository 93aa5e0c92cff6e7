import { z } from 'zod';
import { cursorOf, givenMoment, pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import type { BuildCatalog } from '#worker/build/history/build-catalog.ts';
import type { ToldEvent } from '#worker/build/history/log-parser.ts';
import {
  buildDetail,
  buildState,
  buildSummary,
  detailShape,
  foundLine,
  foundShape,
  logLine,
  logShape,
  summaryShape,
} from './build-shapes.ts';
import { linesOperation, type Operation, operation } from './operation.ts';

const tag = 'builds';
const build = z.object({ id: z.string().min(1).max(500) });
const text = z.string().min(1).max(200);
const since = givenMoment.transform((at) => new Date(at)).optional();
const place = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const wish = z.enum(['0', '1', 'false', 'true']).transform((value) => value === '1' || value === 'true');

const createdAt = z.iso.datetime().transform((at) => new Date(at));
const listCursor = z.tuple([createdAt, z.string()]);
const searchCursor = z.tuple([createdAt, z.string(), z.int().min(0), z.int().min(0)]);

/** Builds of the past and those under way: what they are, what they said, and an end to them. */
export function buildOperations(catalog: BuildCatalog): Operation[] {
  return [
    operation({
      id: 'listBuilds',
      method: 'GET',
      path: '/builds',
      tag,
      summary: 'Builds, the newest first',
      query: pageQuery.extend({
        state: buildState.optional(),
        name: text.optional().describe('Part of its id, of an image’s name, of its source or its target.'),
        since: since.describe('Begun not before this moment.'),
      }),
      reply: pageOf(buildSummary),
      async handle({ query: { limit, cursor, ...filter } }) {
        const [at, ref] = readCursor(listCursor, cursor) ?? [];
        const after = at && ref !== undefined ? { createdAt: at, ref } : undefined;
        const found = await catalog.list(filter, limit + 1, after);
        const { items, next } = toPage(found, limit, (last) => [last.createdAt, last.ref]);
        return { items: items.map(summaryShape), ...(next && { next }) };
      },
    }),
    operation({
      id: 'searchBuildLogs',
      method: 'GET',
      path: '/builds/search',
      tag,
      summary: 'Lines of the logs of builds that are over',
      description:
        'The newest build first, in upper or lower case. A search that takes long answers what it has found so far, ' +
        'perhaps nothing, and where to go on.',
      query: pageQuery.extend({
        q: text.regex(/^[^\r\n]*$/, 'one line').describe('A text, as it stands in the log.'),
        build: z.string().min(1).max(500).optional().describe('Only in the log of this build.'),
        since: since.describe('Only in builds begun not before this moment.'),
      }),
      reply: pageOf(foundLine),
      async handle({ query: { q, build: ref, since: from, limit, cursor }, signal }) {
        const position = readCursor(searchCursor, cursor);
        const { items, next } = await catalog.search(
          { text: q, build: ref, since: from },
          { limit, signal, from: position && positionOf(position) },
        );
        const written = next && cursorOf([next.createdAt, next.ref, next.from, next.skip]);
        return { items: items.map(foundShape), ...(written && { next: written }) };
      },
    }),
    operation({
      id: 'getBuild',
      method: 'GET',
      path: '/builds/{id}',
      tag,
      summary: 'One build, with its steps',
      params: build,
      reply: buildDetail,
      handle: async ({ params: { id } }) => detailShape(await catalog.find(id)),
    }),
    operation({
      id: 'deleteBuild',
      method: 'DELETE',
      path: '/builds/{id}',
      tag,
      summary: 'Forget a build that is over, and its log',
      params: build,
      handle: ({ params: { id } }) => catalog.delete(id),
    }),
    linesOperation({
      id: 'getBuildLog',
      method: 'GET',
      path: '/builds/{id}/logs',
      tag,
      summary: 'What a build has said',
      description: 'One line of JSON for each thing that happened, in the order in which it did.',
      params: build,
      query: z.object({
        step: z.string().min(1).max(200).optional().describe('Only of the step of this digest.'),
        from: place.default(0).describe('`next` of a line: go on behind that.'),
        follow: wish.default(false).describe('Go on with what a running build says, until it is over.'),
      }),
      reply: logLine,
      async handle({ params: { id }, query: { step, from, follow }, signal }) {
        return linesOf(await catalog.read(id, { from, follow, signal }), step);
      },
    }),
    operation({
      id: 'cancelBuild',
      method: 'POST',
      path: '/builds/{id}/cancel',
      tag,
      summary: 'End a build that is running',
      params: build,
      handle: ({ params: { id } }) => catalog.cancel(id),
    }),
  ];
}

function positionOf([at, ref, from, skip]: z.output<typeof searchCursor>) {
  return { createdAt: at, ref, from, skip };
}

async function* linesOf(told: AsyncIterable<ToldEvent>, step: string | undefined) {
  // A character may come in two pieces.
  const decoders = new Map<string, InstanceType<typeof TextDecoder>>();
  const decode = (key: string, bytes: Uint8Array) => {
    const decoder = decoders.get(key) ?? new TextDecoder();
    decoders.set(key, decoder);
    return decoder.decode(bytes, { stream: true });
  };
  for await (const event of told) {
    const line = logShape(event, decode);
    if (!line || (step !== undefined && (line.kind === 'warning' || line.step !== step))) continue;
    yield line;
  }
}
