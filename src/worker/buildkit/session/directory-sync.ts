import { messageOf, unavailable } from '#errors/errors.ts';
import type { DirectoryRequest } from '#worker/build/session/build-session.ts';
import type { ReceiveThreads } from '../fsutil/receive-threads.ts';
import type { Received, ReceiveLimits } from '../fsutil/tree-receiver.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { Metadata } from '../grpc/metadata.ts';
import { FileSync } from '../proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { addEncoded } from './header-text.ts';
import { PacketPump } from './packet-pump.ts';

const FAREWELL = 100;

interface SyncOptions {
  readonly root: string;
  readonly limits: ReceiveLimits;
  readonly receivers: ReceiveThreads;
  readonly signal: AbortSignal;
}

/**
 * Makes `root` equal to what the client has. Throws `invalid` and `too-large` for what the client sends wrong,
 * `unavailable` for what it says or when it is gone. The directory may be used for another sync whatever happens.
 */
export async function syncDirectory(
  client: GrpcClient,
  request: DirectoryRequest,
  { root, limits, receivers, signal }: SyncOptions,
): Promise<Received> {
  const metadata = new Metadata();
  addEncoded(metadata, 'dir-name', [request.name]);
  addEncoded(metadata, 'include-patterns', request.includePatterns);
  addEncoded(metadata, 'exclude-patterns', request.excludePatterns);
  addEncoded(metadata, 'followpaths', request.followPaths);
  const call = client.stream(FileSync.method.diffCopy, { metadata, signal });
  const pump = new PacketPump(call);
  await using receiver = receivers.open(
    root,
    { ...limits, everything: request.everything ?? false },
    {
      request: (ids) => pump.request(ids),
      fin: () => pump.finish(),
      failed: (error) => {
        pump.fail(messageOf(error));
        // Time to hear it; whoever does not listen is not waited for.
        setTimeout(() => call.cancel(), FAREWELL).unref();
      },
    },
  );
  const progress = new TransferProgress(request);
  try {
    for await (const packets of call.frames()) {
      for (const packet of packets) {
        progress.add(packet.length);
        receiver.push(packet);
        if (receiver.crowded) await receiver.room();
      }
    }
    const received = await receiver.received();
    if (!received) throw unavailable('the client ended the transfer before its end');
    progress.end();
    return received;
  } catch (error) {
    throw receiver.failure ?? error;
  } finally {
    call.cancel();
  }
}

const INTERVAL = 100;

/** Tells of a transfer, often enough to look alive and not more often. */
class TransferProgress {
  readonly #request: DirectoryRequest;
  readonly #started = new Date();
  #bytes = 0;
  #told = 0;

  constructor(request: DirectoryRequest) {
    this.#request = request;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    const now = Date.now();
    if (now - this.#told < INTERVAL) return;
    this.#told = now;
    this.#tell();
  }

  end(): void {
    this.#tell(new Date());
  }

  #tell(completed?: Date): void {
    const { progress, name } = this.#request;
    if (!progress) return;
    progress.sink.status({
      vertex: progress.vertex,
      id: `transferring ${name}:`,
      name: 'transferring',
      current: this.#bytes,
      total: 0,
      timestamp: completed ?? new Date(),
      started: this.#started,
      completed,
    });
  }
}
