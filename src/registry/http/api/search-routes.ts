import { z } from 'zod';
import { pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import type { SearchRepository } from '../../search/search-repository.ts';
import { type Operation, operation } from './operation.ts';

const found = z
  .object({
    repository: z.string(),
    title: z.string().nullable(),
    description: z.string().nullable(),
    tags: z.array(z.string()).describe('Some of the tags that match, or whose image does.'),
    pulls: z.int(),
  })
  .meta({ title: 'FoundRepository' });

/** Finding repositories by what they and their images are called. */
export function searchRoutes({ search }: { search: SearchRepository }): Operation[] {
  return [
    operation({
      id: 'search',
      method: 'GET',
      path: '/search',
      tag: 'repositories',
      summary: 'Repositories by name, tag, annotation or label',
      description:
        'Each word has to be somewhere in it, whatever the case. Pushes are found after a second or so.',
      caller: 'anyone',
      query: pageQuery.extend({ q: z.string().min(1).max(200) }),
      reply: pageOf(found),
      async handle({ query: { q, limit, cursor }, access }) {
        const last = readCursor(z.string(), cursor);
        const { items, next } = toPage(
          await search.find(q, { limit: limit + 1, last, access }),
          limit,
          (it) => it.repository,
        );
        return { items: items.map((item) => ({ ...item, tags: [...item.tags] })), next };
      },
    }),
  ];
}
