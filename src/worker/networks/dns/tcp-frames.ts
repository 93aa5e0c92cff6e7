/** DNS messages on a stream: each behind its length in two bytes (RFC 1035, 4.2.2). */
export class TcpFrames {
  #pending: Buffer = Buffer.alloc(0);

  /** The messages that are complete now. What is kept is less than one message of 64 KiB and its chunk. */
  push(chunk: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    let rest = this.#pending.length > 0 ? Buffer.concat([this.#pending, chunk]) : chunk;
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      messages.push(rest.subarray(2, end));
      rest = rest.subarray(end);
    }
    this.#pending = rest;
    return messages;
  }
}

export function tcpFrame(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}
