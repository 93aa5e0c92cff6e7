import type { Any } from '@bufbuild/protobuf/wkt';
import { z } from 'zod';
import { formatSource } from '#worker/build/dockerfile/source-excerpt.ts';
import type { GrpcError } from '../grpc/grpc-error.ts';

const place = z.object({ line: z.number().default(0), character: z.number().default(0) });
const range = z.object({ start: place, end: place });
const source = z.object({
  info: z.object({ filename: z.string(), data: z.string(), language: z.string().default('') }),
  ranges: z.array(range),
});

/** Why a build failed, as the worker told. */
export class FailedBuild extends Error {
  override readonly name = 'FailedBuild';
  /** The lines of the Dockerfile that it is about; empty: none. */
  readonly excerpt: string;
  /** Of the command that failed, if one did. */
  readonly exitCode: number | undefined;

  constructor(message: string, { excerpt, cause }: { excerpt: string; cause: unknown }) {
    super(message, { cause });
    this.excerpt = excerpt;
    const [, code] = /exit code: (\d{1,3})$/.exec(message) ?? [];
    this.exitCode = code === undefined ? undefined : Number(code);
  }
}

export function failedBuild(error: GrpcError): FailedBuild {
  const excerpt = error.details.map(excerptOf).join('');
  return new FailedBuild(error.message, { excerpt, cause: error });
}

function excerptOf({ typeUrl, value }: Any): string {
  if (typeUrl !== 'github.com/moby/buildkit/errdefs.Source+json') return '';
  try {
    const { info, ranges } = source.parse(JSON.parse(Buffer.from(value).toString()));
    return formatSource({ info: { ...info, data: Buffer.from(info.data, 'base64') }, ranges });
  } catch {
    // The message says what is wrong without it.
    return '';
  }
}
