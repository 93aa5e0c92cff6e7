import type { MessageInitShape } from '@bufbuild/protobuf';
import { isKind } from '#errors/errors.ts';
import { Code, GrpcError } from './grpc/grpc-error.ts';
import type { ServiceHandlers } from './grpc/server-call.ts';
import type {
  Content,
  ReadContentResponseSchema,
} from './proto/github.com/containerd/containerd/api/services/content/v1/content_pb.ts';

/** Content that builds have left behind for their clients to look at: provenance, logs. */
export interface ContentSource {
  /** Throws `not-found`. `end` is exclusive. */
  open(
    digest: string,
    range?: { readonly start: number; readonly end?: number },
  ): Promise<AsyncIterable<Uint8Array> & { readonly size: number }>;
}

/** A message of containerd's has at most 4 MiB. */
const MAX_CHUNK_BYTES = 1024 * 1024;

/** containerd's content API, as far as it reads. */
export function contentService(source: ContentSource): ServiceHandlers<typeof Content> {
  return {
    async info({ digest }) {
      const { size } = await found(source.open(digest, { start: 0, end: 0 }));
      return { info: { digest, size: BigInt(size) } };
    },
    async *read({ digest, offset, size }) {
      const start = Number(offset);
      const content = await found(
        source.open(digest, { start, ...(size > 0n && { end: start + Number(size) }) }),
      );
      let at = start;
      for await (const chunk of content) {
        for (let part = 0; part < chunk.length; part += MAX_CHUNK_BYTES) {
          const data = chunk.slice(part, part + MAX_CHUNK_BYTES);
          yield { offset: BigInt(at), data } satisfies MessageInitShape<typeof ReadContentResponseSchema>;
          at += data.length;
        }
      }
    },
  };
}

async function found<T>(content: Promise<T>): Promise<T> {
  try {
    return await content;
  } catch (error) {
    if (isKind(error, 'not-found')) throw new GrpcError(Code.notFound, error.message, { cause: error });
    throw error;
  }
}
