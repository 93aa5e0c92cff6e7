import { unavailable } from '#errors/errors.ts';
import type { Gzip } from './gzip.ts';
import { LIBDEFLATE_PACKAGE, loadLibdeflate } from './libdeflate.ts';
import { LibdeflateGzip } from './libdeflate-gzip.ts';
import { ZlibGzip } from './zlib-gzip.ts';

/** `auto`: libdeflate where it is installed. Throws `unavailable` where that is demanded, and is not. */
export function selectGzip(choice: 'auto' | Gzip['library'] = 'auto'): Gzip {
  const libdeflate = choice === 'zlib' ? undefined : loadLibdeflate();
  if (libdeflate) return new LibdeflateGzip(libdeflate);
  if (choice === 'libdeflate') {
    throw unavailable(`layers are to be compressed by libdeflate: apt-get install ${LIBDEFLATE_PACKAGE}`);
  }
  return new ZlibGzip();
}
