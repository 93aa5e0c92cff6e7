import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { eagerConnection } from '#worker/buildkit/client/eager-connection.ts';
import { GrpcClient } from '#worker/buildkit/grpc/grpc-client.ts';
import { toGrpcError } from '#worker/buildkit/grpc/grpc-error.ts';
import { GrpcServer } from '#worker/buildkit/grpc/grpc-server.ts';
import { FileSync } from '#worker/buildkit/proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { Packet_PacketType as PacketType } from '#worker/buildkit/proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';

it('lets two sides that have much to say at once hear each other', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-eager-'));
  const path = join(folder, 'socket');
  const packets = 8_000;
  const packet = { type: PacketType.PACKET_DATA, ID: 1, data: new Uint8Array(1_024) };
  let heard = 0;
  const grpc = new GrpcServer({ toError: toGrpcError, log: pino({ level: 'silent' }) }).add(FileSync, {
    async *diffCopy(requests) {
      const hearing = (async () => {
        for await (const _ of requests) heard++;
      })();
      for (let at = 0; at < packets; at++) yield packet;
      await hearing;
    },
  });
  const listener = createServer((socket) => grpc.accept(eagerConnection(socket)));
  await new Promise<void>((resolve) => listener.listen(path, resolve));
  const client = new GrpcClient(connect(path));
  try {
    const call = client.stream(FileSync.method.diffCopy);
    const saying = (async () => {
      for (let at = 0; at < packets; at++) await call.send(packet);
      call.end();
    })();
    let answered = 0;
    for await (const _ of call) answered++;
    await saying;
    expect([heard, answered]).toEqual([packets, packets]);
  } finally {
    client.close();
    grpc.close();
    await new Promise((resolve) => listener.close(resolve));
    rmSync(folder, { recursive: true, force: true });
  }
});
