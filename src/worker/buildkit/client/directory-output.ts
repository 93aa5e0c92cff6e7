import { lstat, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { unavailable } from '#errors/errors.ts';
import { TreeReceiver } from '../fsutil/tree-receiver.ts';
import { OWNER } from '../fsutil/tree-updater.ts';
import type { Packet, PacketSchema } from '../proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';

/** What is received is what was built here; the disk is the limit. */
const LIMITS = { maxBytes: Number.MAX_SAFE_INTEGER, maxEntries: Number.MAX_SAFE_INTEGER };

/**
 * Takes the files of a result into a directory: over those of the same names, beside the others. They are the caller's
 * own, and nothing is there before all of them are.
 */
export async function* receiveDirectory(
  target: string,
  packets: AsyncIterable<Packet>,
): AsyncGenerator<MessageInitShape<typeof PacketSchema>> {
  await mkdir(target, { recursive: true });
  const staging = await mkdtemp(join(target, '.slipway-output-'));
  let answers: MessageInitShape<typeof PacketSchema>[] = [];
  const receiver = new TreeReceiver(staging, LIMITS, (packet) => answers.push(packet));
  try {
    for await (const packet of packets) {
      receiver.accept(packet.stat ? { ...packet, stat: { ...packet.stat, ...owner(packet.stat) } } : packet);
      yield* answers;
      answers = [];
    }
    if (!receiver.done) throw unavailable('the result ended before its end');
    await merge(staging, target);
  } finally {
    receiver.close();
    await rm(staging, { recursive: true, force: true });
  }
}

function owner({ uid, gid }: { uid: number; gid: number }) {
  return { uid: OWNER.uid ?? uid, gid: OWNER.gid ?? gid };
}

async function merge(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    const existing = await lstat(target).catch(() => undefined);
    if (entry.isDirectory() && existing?.isDirectory()) await merge(source, target);
    else {
      if (existing && entry.isDirectory() !== existing.isDirectory()) {
        await rm(target, { recursive: true, force: true });
      }
      await rename(source, target);
    }
  }
}
