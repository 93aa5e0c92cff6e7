import { unavailable } from '#errors/errors.ts';
import type { FileTarget } from '#worker/build/session/build-session.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { Code, GrpcError } from '../grpc/grpc-error.ts';
import { Metadata } from '../grpc/metadata.ts';
import { FileSend } from '../proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';

/** gRPC of Go takes 4 MiB in a message unless told otherwise. */
const MAX_CHUNK_BYTES = 3 * 1024 * 1024;

/** Opens a file of the client's for an exporter's output. */
export function openFileTarget(
  client: GrpcClient,
  {
    exporterId,
    attrs,
    signal,
  }: { exporterId: number; attrs: Readonly<Record<string, string>>; signal: AbortSignal },
): FileTarget {
  const metadata = exporterMetadata(exporterId);
  for (const [name, value] of Object.entries(attrs)) metadata.add(`exporter-md-${name}`, value);
  const call = client.stream(FileSend.method.diffCopy, { metadata, signal });
  let finished = false;
  // It has one already, which is as good.
  const unlessThere = async (task: () => Promise<void>) => {
    if (finished) return;
    try {
      await task();
    } catch (error) {
      if (!(error instanceof GrpcError) || error.code !== Code.alreadyExists) throw error;
      finished = true;
    }
  };
  return {
    write: (bytes) =>
      unlessThere(async () => {
        for (let at = 0; at < bytes.length; at += MAX_CHUNK_BYTES) {
          await call.send({ data: bytes.subarray(at, at + MAX_CHUNK_BYTES) });
        }
      }),
    finish: () =>
      unlessThere(async () => {
        call.end();
        for await (const _message of call) throw unavailable('the client answered with data');
        finished = true;
      }),
    async [Symbol.asyncDispose]() {
      if (!finished) call.cancel();
    },
  };
}

export function exporterMetadata(exporterId: number): Metadata {
  return new Metadata().add('buildkit-attachable-exporter-id', String(exporterId));
}
