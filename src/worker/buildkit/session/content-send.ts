import { unavailable } from '#errors/errors.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { Code, GrpcError } from '../grpc/grpc-error.ts';
import { Metadata } from '../grpc/metadata.ts';
import {
  Content,
  WriteAction,
} from '../proto/github.com/containerd/containerd/api/services/content/v1/content_pb.ts';

const MAX_CHUNK_BYTES = 1024 * 1024;

export interface SentContent {
  readonly store: string;
  readonly digest: string;
  readonly size: number;
  /** Not asked for when the client has it. */
  readonly content: () => AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
}

/** Writes to a client's content store, as containerd's clients do; the client checks the digest. Throws `GrpcError`. */
export async function sendContent(
  client: GrpcClient,
  { store, digest, size, content, signal }: SentContent,
): Promise<void> {
  const call = client.stream(Content.method.write, { metadata: storeMetadata(store), signal });
  const replies = call[Symbol.asyncIterator]();
  let offset = 0n;
  const ask = async (action: WriteAction, data?: Uint8Array) => {
    const request = { action, ref: digest, total: BigInt(size), expected: digest, offset };
    await call.send({ ...request, ...(data && { data }) });
    const { value: reply } = await replies.next();
    if (!reply) throw unavailable('the client ended a write before it was committed');
    return reply;
  };
  try {
    await ask(WriteAction.STAT);
    for await (const bytes of content()) {
      for (let at = 0; at < bytes.length; at += MAX_CHUNK_BYTES) {
        const data = bytes.subarray(at, at + MAX_CHUNK_BYTES);
        // From the beginning, whatever was left there before.
        await ask(WriteAction.WRITE, data);
        offset += BigInt(data.length);
      }
    }
    await ask(WriteAction.COMMIT);
    call.end();
  } catch (error) {
    if (!(error instanceof GrpcError && error.code === Code.alreadyExists)) throw error;
  } finally {
    call.cancel();
  }
}

export function storeMetadata(store: string): Metadata {
  // The bytes of UTF-8, as Go's clients expect them; Node writes headers as Latin-1.
  return new Metadata().add('buildkit-attachable-store-id', Buffer.from(store).toString('latin1'));
}
