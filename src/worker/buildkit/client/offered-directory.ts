import type { MessageInitShape } from '@bufbuild/protobuf';
import { followLinks } from '../fsutil/follow-links.ts';
import { TreeSelection } from '../fsutil/tree-selection.ts';
import { sendTree } from '../fsutil/tree-sender.ts';
import { walkTree } from '../fsutil/tree-walk.ts';
import type { Metadata } from '../grpc/metadata.ts';
import type { Packet, PacketSchema } from '../proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import { decodedValues } from '../session/header-text.ts';
import { MessageQueue } from '../session/message-queue.ts';

type PacketInit = MessageInitShape<typeof PacketSchema>;

/** Whose files are is not the build's business, unless it says so. */
const ROOT = { uid: 0, gid: 0 };

/** Sends those of a directory's files that a build asks for, as that has them not yet. */
export async function* offerDirectory(
  root: string,
  metadata: Metadata,
  packets: AsyncIterable<Packet>,
): AsyncGenerator<PacketInit> {
  const followed = decodedValues(metadata, 'followpaths');
  const includePatterns = [
    ...decodedValues(metadata, 'include-patterns'),
    ...(followed.length > 0 ? (followLinks(root, followed) ?? []) : []),
  ];
  const excludePatterns = decodedValues(metadata, 'exclude-patterns');
  const selection = TreeSelection.of({ includePatterns, excludePatterns });
  const outgoing = new MessageQueue<PacketInit>();
  const channel = {
    send: (packet: PacketInit) => outgoing.push(packet),
    end: () => outgoing.end(),
    cancel: () => outgoing.end(),
    [Symbol.asyncIterator]: () => packets[Symbol.asyncIterator](),
  };
  const entries = walkTree(root, { owner: ROOT, ...(selection && { selection }) });
  const sent = sendTree(channel, { entries, fileOf: (path) => `${root}/${path}` });
  sent.catch(() => undefined);
  yield* outgoing;
  await sent;
}
