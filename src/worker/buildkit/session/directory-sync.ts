import { isKind, messageOf, unavailable } from '#errors/errors.ts';
import type { DirectoryRequest } from '#worker/build/session/build-session.ts';
import type { ReceiveThreads } from '../fsutil/receive-threads.ts';
import type { Received, ReceiveLimits, ReceiveOptions } from '../fsutil/tree-receiver.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { Metadata } from '../grpc/metadata.ts';
import { FileSync } from '../proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { addEncoded } from './header-text.ts';
import { PacketPump } from './packet-pump.ts';

const FAREWELL = 100;

/** What a few files are: a Dockerfile, its `.dockerignore`. */
const FEW_NAMES = 8;
const FEW: ReceiveLimits = { maxEntries: 100, maxBytes: 16 * 1024 * 1024 };

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
  options: SyncOptions,
): Promise<Received> {
  const { limits } = options;
  const everything = request.everything ?? false;
  if (!isOfFew(request)) return receive(client, request, options, { ...limits, everything });
  const few = {
    maxEntries: Math.min(limits.maxEntries, FEW.maxEntries),
    maxBytes: Math.min(limits.maxBytes, FEW.maxBytes),
    everything,
  };
  try {
    return await receive(client, request, options, few, { shared: true });
  } catch (error) {
    if (!isKind(error, 'too-large') || options.signal.aborted) throw error;
    // Another one begins with what came of this.
    const received = await receive(client, request, options, { ...limits, everything });
    return { ...received, changed: true, directories: undefined };
  }
}

/** What is asked for seems to be a few files, which come whole each time. The client may send more. */
function isOfFew({ everything, followPaths, includePatterns }: DirectoryRequest): boolean {
  const names = followPaths.length + includePatterns.length;
  return everything === true && names > 0 && names <= FEW_NAMES;
}

async function receive(
  client: GrpcClient,
  request: DirectoryRequest,
  { root, receivers, signal }: SyncOptions,
  limits: ReceiveOptions,
  { shared = false }: { shared?: boolean } = {},
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
    limits,
    {
      request: (ids) => pump.request(ids),
      fin: () => pump.finish(),
      failed: (error) => {
        pump.fail(messageOf(error));
        // Time to hear it; whoever does not listen is not waited for.
        setTimeout(() => call.cancel(), FAREWELL).unref();
      },
    },
    { shared },
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
