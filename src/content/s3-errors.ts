import { messageOf, notFound, SlipwayError, unavailable } from '#errors/errors.ts';

/**
 * What a failed S3 request means here. Only a missing object is anybody's business; for all else (refused, slow, 5xx,
 * wrong keys, no such bucket) the store cannot be used right now, and the cause says why.
 */
export function s3Failure(error: unknown, doing: string): SlipwayError {
  if (error instanceof SlipwayError) return error;
  if (isMissing(error)) return notFound(`${doing}: not there`, { cause: error });
  return unavailable('the object store is not available', { cause: new Error(`${doing}: ${reason(error)}`) });
}

/** The object or the multipart upload is not there. A bucket that is not there is another matter. */
export function isMissing(error: unknown): boolean {
  const name = nameOf(error);
  if (name === 'NoSuchBucket') return false;
  return ['NoSuchKey', 'NotFound', 'NoSuchUpload'].includes(name) || statusOf(error) === 404;
}

/** An answer, or the lack of anything to ask with, that stays the same until somebody changes something. */
export function isRefusal(error: unknown): boolean {
  const status = statusOf(error) ?? 0;
  return nameOf(error) === 'CredentialsProviderError' || (status >= 300 && status < 500 && status !== 429);
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function statusOf(error: unknown): number | undefined {
  const metadata = (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata;
  return metadata?.httpStatusCode;
}

export function reason(error: unknown): string {
  const status = statusOf(error);
  const [name, message] = [nameOf(error), messageOf(error)];
  const what = name === '' || name === 'Error' || message.startsWith(name) ? message : `${name}: ${message}`;
  return status === undefined ? what : `${what} (${status})`;
}
