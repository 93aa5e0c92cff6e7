import { type IncomingMessage, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { invalid, messageOf, SlipwayError, unavailable } from '#errors/errors.ts';
import type { AddressPolicy } from './address-policy.ts';

const MAX_REDIRECTS = 10;
const IDLE_MS = 60_000;

/** Servers that know BuildKit serve this one as they do that. */
const USER_AGENT = 'slipway (as buildkit/v0.25)';

export interface GetOptions {
  readonly method?: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  readonly policy: AddressPolicy;
  readonly signal: AbortSignal;
}

/** What a server said, or what stands for that. */
export type HttpResponse = Readable & Pick<IncomingMessage, 'headers' | 'statusCode'>;

export interface HttpAnswer {
  /** Where redirects have led to. */
  readonly url: URL;
  /** 200 or 304. The caller reads `bodyOf` it or destroys it. */
  readonly response: HttpResponse;
}

/** What was sent, as it was before the server compressed it for the way. */
export function bodyOf(response: HttpResponse): Readable {
  if (response.headers['content-encoding'] !== 'gzip') return response;
  const plain = createGunzip();
  response.once('error', (error) => plain.destroy(error));
  plain.once('close', () => response.destroy());
  return response.pipe(plain);
}

/**
 * GET (or HEAD), after redirects. Credentials are for the first server alone. Throws `invalid` for a status that is no success
 * and for addresses that make no sense, `forbidden` as the policy says, `unavailable`.
 */
export async function httpGet(address: string, options: GetOptions): Promise<HttpAnswer> {
  const first = parse(address);
  let url = first;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const { authorization, ...rest } = options.headers;
    const own = url.origin === first.origin && authorization !== undefined;
    const response = await get(url, { ...options, headers: own ? { ...rest, authorization } : rest });
    const { statusCode = 0 } = response;
    const { location } = response.headers;
    if (statusCode === 200 || statusCode === 304) return { url, response };
    response.destroy();
    if (statusCode < 300 || statusCode >= 400 || location === undefined) {
      throw invalid(`invalid response status ${statusCode}`);
    }
    url = parse(location, url);
  }
  throw invalid(`stopped after ${MAX_REDIRECTS} redirects: ${shown(first)}`);
}

function get(url: URL, { method = 'GET', headers, policy, signal }: GetOptions): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  policy.check(url.hostname.replace(/^\[|\]$/g, ''));
  const begin = url.protocol === 'https:' ? tlsRequest : plainRequest;
  const request = begin(url, {
    method,
    headers: { 'user-agent': USER_AGENT, 'accept-encoding': 'gzip', ...headers },
    lookup: policy.lookup,
    signal,
    agent: false,
    timeout: IDLE_MS,
  });
  request.on('timeout', () => request.destroy(new Error('the server does not answer')));
  request.on('response', resolve);
  request.on('error', (cause) => {
    if (signal.aborted) reject(signal.reason);
    else if (cause instanceof SlipwayError) reject(cause);
    else reject(unavailable(`cannot get ${shown(url)}: ${messageOf(cause)}`, { cause }));
  });
  request.end();
  return promise;
}

function parse(address: string, base?: URL): URL {
  if (!URL.canParse(address, base?.href))
    throw invalid(`invalid URL ${JSON.stringify(address.slice(0, 500))}`);
  const url = new URL(address, base);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw invalid(`unsupported protocol ${url.protocol} in ${shown(url)}`);
  }
  return url;
}

/** Without what a log must not have. */
export function shown(url: URL): string {
  const copy = new URL(url);
  if (copy.password) copy.password = 'xxxxx';
  return copy.href;
}
