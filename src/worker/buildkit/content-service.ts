import type { MessageInitShape } from '@bufbuild/protobuf';
import { isDigest } from '#oci/digest.ts';
import { itemFilter } from './filter/item-filter.ts';
import { Code, GrpcError } from './grpc/grpc-error.ts';
import type { ServiceHandlers } from './grpc/server-call.ts';
import type {
  Content,
  ListContentResponseSchema,
  ReadContentResponseSchema,
} from './proto/github.com/containerd/containerd/api/services/content/v1/content_pb.ts';

/** Content that builds have left behind for their clients to look at: provenance, manifests, logs. */
export interface ContentSource {
  /** undefined: it is not there. `end` is exclusive. */
  open(
    digest: string,
    range?: { readonly start: number; readonly end?: number },
  ): Promise<(AsyncIterable<Uint8Array> & { readonly size: number }) | undefined>;
  list(): Promise<readonly { readonly digest: string; readonly size: number }[]>;
}

/** A message of containerd's has at most 4 MiB. */
const MAX_CHUNK_BYTES = 1024 * 1024;
const ITEMS_IN_MESSAGE = 100;

/** containerd's content API, to read: BuildKit lets nobody write there either. */
export function contentService(source: ContentSource): ServiceHandlers<typeof Content> {
  const readOnly = async () => {
    throw new GrpcError(Code.unknown, 'read-only content store');
  };
  return {
    async info({ digest }) {
      const { size } = await opened(source, digest, { start: 0, end: 0 });
      return { info: { digest, size: BigInt(size) } };
    },
    async *list({ filters }) {
      const matches = itemFilter<{ digest: string; size: number }>(filters, (item, [field]) =>
        field === 'digest' || field === 'size' ? String(item[field]) : undefined,
      );
      const found = (await source.list()).filter(matches);
      for (let at = 0; at < found.length; at += ITEMS_IN_MESSAGE) {
        const items = found.slice(at, at + ITEMS_IN_MESSAGE);
        yield {
          info: items.map(({ digest, size }) => ({ digest, size: BigInt(size) })),
        } satisfies MessageInitShape<typeof ListContentResponseSchema>;
      }
    },
    async *read({ digest, offset, size }) {
      const start = Math.max(0, Number(offset));
      const content = await opened(source, digest, {
        start,
        ...(size > 0n && { end: start + Number(size) }),
      });
      if (start > content.size)
        throw new GrpcError(Code.outOfRange, `read past object length ${content.size} bytes`);
      // Offsets count from where the client began, as containerd's do.
      let at = 0;
      for await (const chunk of content) {
        for (let part = 0; part < chunk.length; part += MAX_CHUNK_BYTES) {
          const data = chunk.slice(part, part + MAX_CHUNK_BYTES);
          yield { offset: BigInt(at), data } satisfies MessageInitShape<typeof ReadContentResponseSchema>;
          at += data.length;
        }
      }
    },
    async status({ ref }) {
      throw new GrpcError(Code.notFound, `could not get status for ref ${JSON.stringify(ref)}: not found`);
    },
    listStatuses: async () => ({ statuses: [] }),
    update: readOnly,
    delete: readOnly,
    abort: readOnly,
    // biome-ignore lint/correctness/useYield: it has nothing to say.
    async *write() {
      await readOnly();
    },
  };
}

async function opened(source: ContentSource, digest: string, range: { start: number; end?: number }) {
  if (!isDigest(digest))
    throw new GrpcError(Code.invalidArgument, `${JSON.stringify(digest)} failed validation`);
  const content = await source.open(digest, range);
  if (!content) throw new GrpcError(Code.notFound, `content ${digest}: not found`);
  return content;
}
