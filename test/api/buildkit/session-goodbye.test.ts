import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GrpcClient } from '#worker/buildkit/grpc/grpc-client.ts';
import { Metadata } from '#worker/buildkit/grpc/metadata.ts';
import { Control } from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { startBuildkitWorker } from './buildkit-worker.ts';

const PREFACE_BYTES = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.length;
const SETTINGS = 4;
const GOAWAY = 7;
const emptySettings = Buffer.from([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);

let worker: Awaited<ReturnType<typeof startBuildkitWorker>>;
const started = new AsyncDisposableStack();

beforeAll(async () => {
  worker = started.use(await startBuildkitWorker());
});
afterAll(() => started.disposeAsync());

// BuildKit's client takes what comes after its goodbye for more than it is, and buildx prints a PROTOCOL_ERROR.
it('is told nothing more once it has said goodbye', async () => {
  const socket = connect(worker.address.replace('unix://', ''));
  const client = new GrpcClient(socket);
  const metadata = new Metadata().add('x-docker-expose-session-uuid', 'goodbye');
  const call = client.stream(Control.method.session, { metadata });
  const told: Uint8Array[] = [];
  for await (const { data } of call) {
    if (told.length === 0) await call.send({ data: emptySettings });
    told.push(data);
    if (typesIn(Buffer.concat(told)).filter((type) => type === SETTINGS).length === 2) call.end();
  }
  client.close();
  expect(typesIn(Buffer.concat(told))).not.toContain(GOAWAY);
});

/** Of the frames that a client has sent. */
function typesIn(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = PREFACE_BYTES; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3))
    types.push(bytes[at + 3]!);
  return types;
}
