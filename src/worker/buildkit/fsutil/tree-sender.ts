import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Semaphore } from '#async/semaphore.ts';
import { invalid, messageOf, unavailable } from '#errors/errors.ts';
import {
  type Packet,
  type PacketSchema,
  Packet_PacketType as PacketType,
} from '../proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import { typeOfGoMode } from './go-mode.ts';
import type { StatInit } from './tree-walk.ts';

/** Both directions of a call, from the sender's side. Iterated, it gives what the receiver says, until the call ends. */
export interface PacketChannel extends AsyncIterable<Packet> {
  /** Resolves to the packet's bytes, if it knows them, when the next may follow. */
  send(packet: MessageInitShape<typeof PacketSchema>): Promise<unknown>;
  end(): void;
  cancel(): void;
}

export interface TreeToSend {
  /** Where a listed file is. */
  readonly fileOf: (path: string) => string;
  /** What of it is sent, in the order of a walk. */
  readonly entries: AsyncIterable<StatInit>;
  /** Hears how many bytes were sent: of the list and of contents. */
  readonly progress?: (bytes: number) => void;
}

const FILES_AT_ONCE = 4;
const CHUNK_BYTES = 256 * 1024;

/**
 * The sending side of fsutil's protocol: lists what is below a root, and sends those files' contents that the receiver
 * asks for. Resolves when the receiver has it all. Throws `unavailable` with what the receiver says is wrong, `invalid`
 * for one that asks for what it may not.
 */
export async function sendTree(channel: PacketChannel, tree: TreeToSend): Promise<void> {
  try {
    const sender = new TreeSender(channel, tree);
    await Promise.all([sender.list(), sender.answer()]);
  } catch (error) {
    const data = Buffer.from(messageOf(error));
    await channel.send({ type: PacketType.PACKET_ERR, data }).catch(() => {});
    throw error;
  } finally {
    channel.cancel();
  }
}

class TreeSender {
  readonly #channel: PacketChannel;
  readonly #tree: TreeToSend;
  /** Files that may be asked for, by their number in the list. */
  readonly #files = new Map<number, string>();
  readonly #readers = new Semaphore(FILES_AT_ONCE);
  #sent = 0;

  constructor(channel: PacketChannel, tree: TreeToSend) {
    this.#channel = channel;
    this.#tree = tree;
  }

  async list(): Promise<void> {
    let id = 0;
    for await (const stat of this.#tree.entries) {
      if (typeOfGoMode(stat.mode) === 'file') this.#files.set(id, stat.path);
      id++;
      this.#count(await this.#channel.send({ type: PacketType.PACKET_STAT, stat }));
    }
    await this.#channel.send({ type: PacketType.PACKET_STAT });
  }

  async answer(): Promise<void> {
    const sending: Promise<void>[] = [];
    for await (const { type, ID: id, data } of this.#channel) {
      if (type === PacketType.PACKET_ERR)
        throw unavailable(`error from receiver: ${Buffer.from(data).toString()}`);
      if (type === PacketType.PACKET_FIN) {
        await Promise.all(sending);
        await this.#channel.send({ type: PacketType.PACKET_FIN });
        this.#channel.end();
      } else if (type === PacketType.PACKET_REQ) {
        const path = this.#files.get(id);
        if (path === undefined) throw invalid(`invalid file id ${id}`);
        this.#files.delete(id);
        const sent = this.#readers.run(() => this.#send(id, path));
        // Its failure ends the call, and so this loop.
        sent.catch(() => this.#channel.cancel());
        sending.push(sent);
      } else throw invalid('an unexpected packet');
    }
    await Promise.all(sending);
  }

  async #send(id: number, path: string): Promise<void> {
    const file = await open(this.#tree.fileOf(path), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
        if (bytesRead === 0) break;
        const data = buffer.subarray(0, bytesRead);
        this.#count(await this.#channel.send({ type: PacketType.PACKET_DATA, ID: id, data }));
      }
    } finally {
      await file.close();
    }
    await this.#channel.send({ type: PacketType.PACKET_DATA, ID: id });
  }

  #count(bytes: unknown): void {
    this.#sent += typeof bytes === 'number' ? bytes : 0;
    this.#tree.progress?.(this.#sent);
  }
}
