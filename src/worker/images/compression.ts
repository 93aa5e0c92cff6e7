import { Readable } from 'node:stream';
import { createZstdCompress, constants as zlib } from 'node:zlib';
import { invalid, unsupported } from '#errors/errors.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { Gzip, Pace } from './gzip/gzip.ts';

/** How a layer's tar is compressed. The level is the algorithm's own. */
export interface Compression {
  readonly type: CompressionType;
  readonly level?: number;
}

export type CompressionType = 'uncompressed' | 'gzip' | 'zstd';

export const GZIP: Compression = { type: 'gzip' };

const LEVELS = { uncompressed: [0, 0], gzip: [0, 9], zstd: [0, 22] } as const;
const DEFAULT_ZSTD_LEVEL = 3;

/** As `compression` and `compression-level` of an exporter. Throws `invalid`, `unsupported`. */
export function parseCompression(type = 'gzip', level?: string): Compression {
  if (type === 'estargz') throw unsupported('compression type estargz is not supported');
  if (type !== 'gzip' && type !== 'zstd' && type !== 'uncompressed') {
    throw invalid(`unsupported compression type ${type}`);
  }
  if (level === undefined) return { type };
  const value = /^-?\d{1,3}$/.test(level) ? Number(level) : Number.NaN;
  if (Number.isNaN(value)) throw invalid(`non-integer value ${level} specified for compression-level`);
  const [least, most] = LEVELS[type];
  return { type, level: Math.min(most, Math.max(least, value)) };
}

export function compressionOf(mediaType: string): CompressionType {
  if (mediaType.endsWith('zstd')) return 'zstd';
  return mediaType.endsWith('gzip') ? 'gzip' : 'uncompressed';
}

/** The same bytes for the same input, wherever the same libraries are. What it makes is the caller's. */
export function compress(
  tar: AsyncIterable<Uint8Array>,
  { type, level }: Compression,
  { gzip, pace }: { gzip: Gzip; pace?: Pace },
): AsyncIterable<Uint8Array> {
  switch (type) {
    case 'uncompressed':
      return copied(tar);
    case 'gzip':
      return gzip.compress(tar, { level, pace });
    case 'zstd': {
      const params = {
        [zlib.ZSTD_c_compressionLevel]: level ?? DEFAULT_ZSTD_LEVEL,
        [zlib.ZSTD_c_checksumFlag]: 1,
      };
      return Readable.from(tar, { objectMode: false }).compose(
        createZstdCompress({ params }),
      ) as AsyncIterable<Uint8Array>;
    }
  }
}

async function* copied(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) yield new Uint8Array(piece);
}

/** Whether it is done with each piece of its input before it asks for the next one. */
export function copiesInput({ type }: Compression): boolean {
  return type !== 'zstd';
}

/** The media type of a layer that is compressed so. Few engines read Docker's word for zstd, which containerd made up. */
export function layerMediaType(type: CompressionType, oci: boolean): string {
  switch (type) {
    case 'zstd':
      return oci ? MEDIA_TYPE.ociLayerZstd : MEDIA_TYPE.dockerLayerZstd;
    case 'gzip':
      return oci ? MEDIA_TYPE.ociLayerGzip : MEDIA_TYPE.dockerLayerGzip;
    case 'uncompressed':
      return oci ? MEDIA_TYPE.ociLayer : MEDIA_TYPE.dockerLayer;
  }
}
