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

/** One directory that is being received. */
interface Reception {
  readonly receiver: TreeReceiver;
  readonly replies: { requests: number[]; fin: boolean };
}

/** Writes what clients send, away from the event loop. */
const port = parentPort!;
const receptions = new Map<number, Reception>();

port.on('message', (message: ToReceiver) => {
  const { id } = message;
  const reception = receptions.get(id);
  try {
    if (message.kind === 'start') start(message);
    else if (message.kind === 'close') close(id);
    else if (reception) take(id, reception, message.batch);
  } catch (error) {
    reception?.receiver.close();
    receptions.delete(id);
    const errorKind = error instanceof SlipwayError ? error.kind : undefined;
    tell({ id, kind: 'failed', errorKind, message: messageOf(error) });
  }
});

function start({ id, root, limits }: Extract<ToReceiver, { kind: 'start' }>): void {
  const replies: Reception['replies'] = { requests: [], fin: false };
  const receiver = new TreeReceiver(root, limits, ({ type, ID }) => {
    if (type === PacketType.PACKET_FIN) replies.fin = true;
    else replies.requests.push(ID!);
  });
  receptions.set(id, { receiver, replies });
}

function take(id: number, { receiver, replies }: Reception, batch: Uint8Array<ArrayBuffer>): void {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  for (let at = 0; at < batch.length; ) {
    const end = at + 4 + view.getUint32(at, true);
    receiver.accept(decoded(batch.subarray(at + 4, end)));
    at = end;
  }
  const received = receiver.done ? receiver.received : undefined;
  tell({ id, kind: 'taken', ...replies, received });
  replies.requests = [];
  replies.fin = false;
}

function decoded(bytes: Uint8Array): Packet {
  try {
    return fromBinary(PacketSchema, bytes);
  } catch (cause) {
    throw invalid('the client sent what is no packet', { cause });
  }
}

function close(id: number): void {
  receptions.get(id)?.receiver.close();
  receptions.delete(id);
  tell({ id, kind: 'closed' });
}

function tell(message: FromReceiver): void {
  port.postMessage(message);
}
