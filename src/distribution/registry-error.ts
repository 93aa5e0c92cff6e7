import { forbidden, notFound, SlipwayError, tooLarge, unauthorized, unavailable } from '#errors/errors.ts';
import type { HttpResponse } from './http-transport.ts';

const MAX_BODY_BYTES = 64 * 1024;

/**
 * What a registry's error answer means. `code` is the Distribution API's (`MANIFEST_UNKNOWN`), the message as the
 * engine prints it: `manifest unknown: manifest unknown`.
 */
export async function registryError(response: HttpResponse, what: string): Promise<SlipwayError> {
  const text = await readText(response).catch(() => '');
  const first = firstError(text);
  const code = first?.code ?? CODES[response.status];
  const words = code?.toLowerCase().replaceAll('_', ' ');
  const message = first
    ? `${words}: ${first.message || words}`
    : (MESSAGES[response.status] ?? `${what}: received unexpected HTTP status: ${response.status}`);
  const options = {
    ...(code !== undefined && { code }),
    detail: { status: response.status, ...retryAfter(response) },
  };
  switch (response.status) {
    case 401:
      return unauthorized(message, options);
    case 403:
      return forbidden(message, options);
    case 404:
      return notFound(message, options);
    case 413:
      return tooLarge(message, options);
    case 429:
      return new SlipwayError('too-many', message, options);
    default:
      return unavailable(message, options);
  }
}

/** The header in its form of seconds, in milliseconds. */
function retryAfter(response: HttpResponse): { retryAfterMs?: number } {
  const seconds = response.headers['retry-after'];
  return seconds !== undefined && /^\d{1,6}$/.test(seconds) ? { retryAfterMs: Number(seconds) * 1000 } : {};
}

/** How long a server asked to be left alone. */
export function retryAfterOf(error: unknown): number {
  const detail = error instanceof SlipwayError ? error.detail : undefined;
  return (detail as { retryAfterMs?: number } | undefined)?.retryAfterMs ?? 0;
}

const CODES: Readonly<Record<number, string>> = { 401: 'UNAUTHORIZED', 403: 'DENIED' };

/** For answers without a body, such as HEAD's. */
const MESSAGES: Readonly<Record<number, string>> = {
  401: 'unauthorized: authentication required',
  403: 'denied: requested access to the resource is denied',
};

/** Whether asking again may help: the network, or a server that is busy or broken. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof SlipwayError)) return false;
  if (error.kind === 'too-many') return true;
  // A name that does not exist will not a second later.
  if (error.kind !== 'unavailable' || error.code === 'ENOTFOUND') return false;
  const status = (error.detail as { status?: number } | undefined)?.status;
  return status === undefined || status >= 500 || status === 408;
}

function firstError(text: string): { code: string; message: string } | undefined {
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] };
    const first = errors?.[0];
    if (typeof first?.code !== 'string' || !/^[A-Z_]{1,64}$/.test(first.code)) return undefined;
    return {
      code: first.code,
      message: typeof first.message === 'string' ? first.message.slice(0, 1000) : '',
    };
  } catch {
    return undefined;
  }
}

/** A small text body; the rest of a large one is dropped. */
async function readText(response: HttpResponse): Promise<string> {
  return (await readLimited(response, MAX_BODY_BYTES))?.toString('utf8') ?? '';
}

/** `undefined` when the body is larger than `limit`. */
export async function readLimited(response: HttpResponse, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
