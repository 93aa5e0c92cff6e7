import { parentPort } from 'node:worker_threads';
import { fromBinary } from '@bufbuild/protobuf';
import { invalid, messageOf, SlipwayError } from '#errors/errors.ts';
import {
  type Packet,
  PacketSchema,
  Packet_PacketType as PacketType,
} from '../proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import type { FromReceiver, ToReceiver } from './receive-messages.ts';
import { TreeReceiver } from './tree-receiver.ts';

/** Writes what clients send, one directory after the other, away from the event loop. */
const port = parentPort!;
let receiver: TreeReceiver | undefined;
let requests: number[] = [];
let fin = false;

port.on('message', (message: ToReceiver) => {
  try {
    if (message.kind === 'start') start(message);
    else if (message.kind === 'close') close();
    else if (receiver) take(receiver, message.batch);
  } catch (error) {
    receiver?.close();
    receiver = undefined;
    const errorKind = error instanceof SlipwayError ? error.kind : undefined;
    tell({ kind: 'failed', errorKind, message: messageOf(error) });
  }
});

function start({ root, limits }: Extract<ToReceiver, { kind: 'start' }>): void {
  requests = [];
  fin = false;
  receiver = new TreeReceiver(root, limits, ({ type, ID }) => {
    if (type === PacketType.PACKET_FIN) fin = true;
    else requests.push(ID!);
  });
}

function take(current: TreeReceiver, batch: Uint8Array<ArrayBuffer>): void {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  for (let at = 0; at < batch.length; ) {
    const end = at + 4 + view.getUint32(at, true);
    current.accept(decoded(batch.subarray(at + 4, end)));
    at = end;
  }
  const received = current.done ? current.received : undefined;
  tell({ kind: 'taken', requests, fin, received });
  requests = [];
  fin = false;
}

function decoded(bytes: Uint8Array): Packet {
  try {
    return fromBinary(PacketSchema, bytes);
  } catch (cause) {
    throw invalid('the client sent what is no packet', { cause });
  }
}

function close(): void {
  receiver?.close();
  receiver = undefined;
  tell({ kind: 'closed' });
}

function tell(message: FromReceiver): void {
  port.postMessage(message);
}
