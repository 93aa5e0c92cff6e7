import { expect, it } from 'vitest';
import { Packet_PacketType as PacketType } from '#worker/buildkit/proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import { PacketPump } from '#worker/buildkit/session/packet-pump.ts';

interface Sent {
  readonly type?: PacketType;
  readonly ID?: number;
}

/** A sender that takes a piece each time it is told to. */
class SlowSender {
  readonly pieces: (readonly Sent[])[] = [];
  ended = false;
  #taken = Promise.withResolvers<void>();

  async sendAll(packets: readonly Sent[]): Promise<void> {
    this.pieces.push(packets);
    await this.#taken.promise;
  }

  end(): void {
    this.ended = true;
  }

  /** Resolves when it has been given all that it may have by then. */
  async take(): Promise<void> {
    this.#taken.resolve();
    this.#taken = Promise.withResolvers();
    await new Promise(setImmediate);
  }
}

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, at) => from + at);
const isLast = (type: PacketType) => (pieces: SlowSender['pieces']) => pieces.at(-1)?.[0]?.type === type;

it('sends what is known to be wanted as few pieces, each file once and in order, and the end last', async () => {
  const sender = new SlowSender();
  const pump = new PacketPump(sender);
  pump.request(numbers(0, 1));
  for (let from = 1; from < 100_001; from += 1_000) pump.request(numbers(from, 1_000));
  pump.finish();
  while (!sender.ended) await sender.take();
  const [finish, ...requests] = sender.pieces.toReversed();
  expect(finish).toEqual([{ type: PacketType.PACKET_FIN }]);
  expect(requests.flat().every(({ type }) => type === PacketType.PACKET_REQ)).toBe(true);
  expect(requests.toReversed().flatMap((piece) => piece.map(({ ID }) => ID))).toEqual(numbers(0, 100_001));
  expect(requests.length).toBeLessThan(300);
  expect(Math.max(...requests.map(({ length }) => length))).toBeLessThanOrEqual(512);
});

it('sends nothing of what waits once it has failed', async () => {
  const sender = new SlowSender();
  const pump = new PacketPump(sender);
  pump.request(numbers(0, 5_000));
  pump.fail('too large');
  while (!isLast(PacketType.PACKET_ERR)(sender.pieces)) await sender.take();
  await sender.take();
  expect(sender.pieces).toHaveLength(2);
  expect(sender.ended).toBe(false);
});
