import type { Messages } from '../grpc/messages.ts';
import type { ServerCall } from '../grpc/server-call.ts';
import { messageDuplex } from './message-duplex.ts';
import { MessageQueue } from './message-queue.ts';
import type { SessionManager } from './session-manager.ts';

interface BytesMessage {
  readonly data: Uint8Array;
}

/** A session within a call: the client serves HTTP/2 on the bytes of these messages. */
export async function* sessionTunnel(
  sessions: SessionManager,
  messages: Messages<BytesMessage>,
  call: ServerCall,
): AsyncGenerator<BytesMessage> {
  const outgoing = new MessageQueue<BytesMessage>();
  const connection = messageDuplex(closingAtEnd(messages.batches(), outgoing), {
    send: (data) => outgoing.push({ data }),
    finish: () => outgoing.end(),
  });
  connection.on('error', () => {});
  const over = sessions.serve(connection, call.metadata, call.signal).finally(() => outgoing.end());
  over.catch(() => {});
  call.sendHeaders();
  yield* outgoing;
  await over;
}

/**
 * Who has said goodbye is told nothing more: BuildKit's client (grpchijack, `Close`) reads what still comes with old
 * bytes behind it, and complains of a PROTOCOL_ERROR.
 */
async function* closingAtEnd(
  batches: AsyncIterable<readonly BytesMessage[]>,
  outgoing: MessageQueue<BytesMessage>,
): AsyncGenerator<readonly BytesMessage[]> {
  yield* batches;
  outgoing.close();
}
