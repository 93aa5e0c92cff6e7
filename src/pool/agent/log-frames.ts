/**
 * What a container has written, out of the frames of the engine's log streams: a byte for the stream, three of nothing,
 * four for the length (Docker Engine API, "Attach to a container").
 */
export async function* logFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head = Buffer.alloc(0);
  let left = 0;
  for await (const bytes of source) {
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    while (rest.length > 0) {
      if (left > 0) {
        yield rest.subarray(0, left);
        const taken = Math.min(left, rest.length);
        left -= taken;
        rest = rest.subarray(taken);
        continue;
      }
      const missing = 8 - head.length;
      head = Buffer.concat([head, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (head.length < 8) break;
      left = head.readUInt32BE(4);
      head = Buffer.alloc(0);
    }
  }
}
