import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Semaphore } from '#async/semaphore.ts';
import { invalid, messageOf, unavailable } from '#errors/errors.ts';
import { typeOfGoMode } from '../fsutil/go-mode.ts';
import { walkTree } from '../fsutil/tree-walk.ts';
import type { ClientCall } from '../grpc/client-call.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { FileSend, FileSync } from '../proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import {
  type PacketSchema,
  Packet_PacketType as PacketType,
} from '../proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import { exporterMetadata } from './file-target.ts';

interface DirectoryToSend {
  readonly exporterId: number;
  readonly root: string;
  readonly mtime?: Date;
  readonly progress?: (bytes: number) => void;
  readonly signal: AbortSignal;
}

type Call = ClientCall<typeof PacketSchema, typeof PacketSchema>;

const FILES_AT_ONCE = 4;
const CHUNK_BYTES = 256 * 1024;

/**
 * The sending side of fsutil's protocol: lists what is below `root`, and sends those files' contents that the client asks
 * for. Resolves when the client has it all. Throws `unavailable` with what the client says is wrong, `invalid` for a
 * client that asks for what it may not.
 */
export async function sendDirectory(client: GrpcClient, directory: DirectoryToSend): Promise<void> {
  const metadata = exporterMetadata(directory.exporterId);
  const call = client.stream(FileSync.method.diffCopy, {
    as: FileSend.method.diffCopy,
    metadata,
    signal: directory.signal,
  });
  try {
    const sender = new DirectorySender(call, directory);
    await Promise.all([sender.list(), sender.answer()]);
  } catch (error) {
    const data = Buffer.from(messageOf(error));
    await call.send({ type: PacketType.PACKET_ERR, data }).catch(() => {});
    throw error;
  } finally {
    call.cancel();
  }
}

class DirectorySender {
  readonly #call: Call;
  readonly #directory: DirectoryToSend;
  /** Files that may be asked for, by their number in the list. */
  readonly #files = new Map<number, string>();
  readonly #readers = new Semaphore(FILES_AT_ONCE);
  #sent = 0;

  constructor(call: Call, directory: DirectoryToSend) {
    this.#call = call;
    this.#directory = directory;
  }

  async list(): Promise<void> {
    let id = 0;
    for await (const stat of walkTree(this.#directory.root, this.#directory)) {
      if (typeOfGoMode(stat.mode) === 'file') this.#files.set(id, stat.path);
      id++;
      await this.#call.send({ type: PacketType.PACKET_STAT, stat });
    }
    await this.#call.send({ type: PacketType.PACKET_STAT });
  }

  async answer(): Promise<void> {
    const sending: Promise<void>[] = [];
    for await (const { type, ID: id, data } of this.#call) {
      if (type === PacketType.PACKET_ERR)
        throw unavailable(`error from receiver: ${Buffer.from(data).toString()}`);
      if (type === PacketType.PACKET_FIN) {
        await Promise.all(sending);
        await this.#call.send({ type: PacketType.PACKET_FIN });
        this.#call.end();
      } else if (type === PacketType.PACKET_REQ) {
        const path = this.#files.get(id);
        if (path === undefined) throw invalid(`invalid file id ${id}`);
        this.#files.delete(id);
        const sent = this.#readers.run(() => this.#send(id, path));
        // Its failure ends the call, and so this loop.
        sent.catch(() => this.#call.cancel());
        sending.push(sent);
      } else throw invalid('an unexpected packet');
    }
    await Promise.all(sending);
  }

  async #send(id: number, path: string): Promise<void> {
    const file = await open(`${this.#directory.root}/${path}`, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
        if (bytesRead === 0) break;
        await this.#call.send({ type: PacketType.PACKET_DATA, ID: id, data: buffer.subarray(0, bytesRead) });
        this.#sent += bytesRead;
        this.#directory.progress?.(this.#sent);
      }
    } finally {
      await file.close();
    }
    await this.#call.send({ type: PacketType.PACKET_DATA, ID: id });
  }
}
