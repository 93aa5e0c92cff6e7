import { unavailable } from '#errors/errors.ts';
import { Authorizer, type Credentials } from './authorizer.ts';
import type { HttpTransport } from './http-transport.ts';
import { readLimited, registryError } from './registry-error.ts';

/** A repository that a registry found. */
export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly stars: number;
  readonly official: boolean;
  readonly automated: boolean;
}

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/**
 * Searches a registry that has Docker's first protocol left for that. Throws `unavailable` when it is out of reach, or
 * answers something else.
 */
export async function searchRegistry(
  transport: HttpTransport,
  origin: URL,
  request: {
    term: string;
    limit: number;
    credentials?: Credentials | undefined;
    signal?: AbortSignal | undefined;
  },
): Promise<SearchResult[]> {
  const url = new URL('/v1/search', origin);
  url.searchParams.set('q', request.term);
  url.searchParams.set('n', String(request.limit));
  const options = request.signal ? { signal: request.signal } : {};
  let response = await transport.request({ method: 'GET', url, ...options });
  if (response.status === 401) {
    const authorizer = new Authorizer(transport, request.credentials);
    const authorization = await authorizer.answer(response.headers['www-authenticate'], [], options);
    if (authorization !== undefined) {
      response.body.resume();
      response = await transport.request({ method: 'GET', url, headers: { authorization }, ...options });
    }
  }
  if (response.status !== 200) throw await registryError(response, `${url.host}${url.pathname}`);
  return resultsOf(await readLimited(response, MAX_ANSWER_BYTES), url).slice(0, request.limit);
}

function resultsOf(body: Buffer | undefined, url: URL): SearchResult[] {
  let results: unknown;
  try {
    ({ results } = JSON.parse(body?.toString() ?? ''));
  } catch {
    // Told below.
  }
  if (!Array.isArray(results)) throw unavailable(`${url.host} does not know how to search`);
  return results.flatMap((result: Readonly<Record<string, unknown>> | null) =>
    typeof result?.name === 'string'
      ? [
          {
            name: result.name,
            description: typeof result.description === 'string' ? result.description : '',
            stars: typeof result.star_count === 'number' ? result.star_count : 0,
            official: result.is_official === true,
            automated: result.is_automated === true,
          },
        ]
      : [],
  );
}
