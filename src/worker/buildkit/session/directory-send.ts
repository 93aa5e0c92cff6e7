import { sendTree } from '../fsutil/tree-sender.ts';
import { walkTree } from '../fsutil/tree-walk.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { FileSend, FileSync } from '../proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { exporterMetadata } from './file-target.ts';

interface DirectoryToSend {
  readonly exporterId: number;
  readonly root: string;
  readonly mtime?: Date;
  readonly progress?: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Copies a directory to the client. Resolves when the client has it all; throws as `sendTree` does. */
export async function sendDirectory(client: GrpcClient, directory: DirectoryToSend): Promise<void> {
  const metadata = exporterMetadata(directory.exporterId);
  const call = client.stream(FileSync.method.diffCopy, {
    as: FileSend.method.diffCopy,
    metadata,
    signal: directory.signal,
  });
  await sendTree(call, { ...directory, entries: walkTree(directory.root, directory) });
}
