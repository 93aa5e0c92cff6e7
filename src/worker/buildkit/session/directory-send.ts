import type { ExportedTree } from '#worker/build/session/build-session.ts';
import { MergedTrees } from '../fsutil/merged-trees.ts';
import { sendTree } from '../fsutil/tree-sender.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { FileSend, FileSync } from '../proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { exporterMetadata } from './file-target.ts';

interface DirectoryToSend {
  readonly exporterId: number;
  readonly trees: readonly ExportedTree[];
  readonly mtime?: Date;
  readonly progress?: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Copies directories to one of the client's. Resolves when the client has it all; throws as `sendTree` does. */
export async function sendDirectory(client: GrpcClient, directory: DirectoryToSend): Promise<void> {
  // A client that deletes what it is not sent has to know that this is all.
  const metadata = exporterMetadata(directory.exporterId).add('buildkit-exporter-multi-platform', '1');
  const call = client.stream(FileSync.method.diffCopy, {
    as: FileSend.method.diffCopy,
    metadata,
    signal: directory.signal,
  });
  const merged = new MergedTrees(directory.trees, directory);
  const { progress } = directory;
  await sendTree(call, {
    entries: merged.entries(),
    fileOf: (path) => merged.fileOf(path),
    ...(progress && { progress }),
  });
}
