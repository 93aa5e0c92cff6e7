import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import type { Gzip } from '#worker/images/gzip/gzip.ts';
import { LIBDEFLATE_PACKAGE } from '#worker/images/gzip/libdeflate.ts';
import { selectGzip } from '#worker/images/gzip/select-gzip.ts';

/** Says so where the slower one has to do, and nobody has chosen it. Throws `unavailable`. */
export function layerGzip({ worker: { gzip: choice } }: Config, log: Logger): Gzip {
  const gzip = selectGzip(choice);
  if (choice === 'auto' && gzip.library === 'zlib') {
    log.warn(
      { remedy: `apt-get install ${LIBDEFLATE_PACKAGE}` },
      'libdeflate is not installed: layers are compressed by zlib, which takes twice as long',
    );
  }
  return gzip;
}
