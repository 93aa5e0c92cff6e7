import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { pino } from 'pino';
import { connectUpgraded } from '#worker/buildkit/client/connection.ts';
import { eagerConnection } from '#worker/buildkit/client/eager-connection.ts';
import { GrpcClient } from '#worker/buildkit/grpc/grpc-client.ts';
import { toGrpcError } from '#worker/buildkit/grpc/grpc-error.ts';
import { GrpcServer } from '#worker/buildkit/grpc/grpc-server.ts';
import type { ServiceHandlers } from '#worker/buildkit/grpc/server-call.ts';
import { Control } from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { Auth } from '#worker/buildkit/proto/github.com/moby/buildkit/session/auth/auth_pb.ts';
import {
  FileSend,
  FileSync,
} from '#worker/buildkit/proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { Secrets } from '#worker/buildkit/proto/github.com/moby/buildkit/session/secrets/secrets_pb.ts';
import { SSH } from '#worker/buildkit/proto/github.com/moby/buildkit/session/sshforward/ssh_pb.ts';
import { Upload } from '#worker/buildkit/proto/github.com/moby/buildkit/session/upload/upload_pb.ts';
import {
  type Packet,
  type PacketSchema,
  Packet_PacketType as PacketType,
} from '#worker/buildkit/proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import { Health } from '#worker/buildkit/proto/grpc/health/v1/health_pb.ts';

const { PACKET_STAT, PACKET_REQ, PACKET_DATA, PACKET_FIN } = PacketType;

export type PacketInit = MessageInitShape<typeof PacketSchema>;
type Sender = (packets: AsyncIterable<Packet>) => AsyncIterable<PacketInit>;

/** What a client serves its builds with, in place of what a good one would. */
export interface Tricks {
  readonly dockerfile: string;
  readonly context?: Sender;
  readonly fileSend?: ServiceHandlers<typeof FileSend>;
  readonly secrets?: ServiceHandlers<typeof Secrets>;
  readonly auth?: ServiceHandlers<typeof Auth>;
  readonly ssh?: ServiceHandlers<typeof SSH>;
  readonly upload?: ServiceHandlers<typeof Upload>;
  readonly options?: Readonly<Record<string, string>>;
  readonly exporter?: { readonly type: string; readonly attrs?: Readonly<Record<string, string>> };
  readonly cache?: { readonly exports?: readonly CacheEntry[]; readonly imports?: readonly CacheEntry[] };
}

interface CacheEntry {
  readonly type: string;
  readonly attrs: Record<string, string>;
}

export interface Attack extends AsyncDisposable {
  /** Why the build failed; undefined if it did not. */
  readonly over: Promise<Error | undefined>;
  cancel(): void;
  /** Closes its connections without a word. */
  vanish(): void;
}

/** Begins a build as a client of BuildKit's API that does what it is told, on an engine's socket. */
export async function attack(socketPath: string, tricks: Tricks): Promise<Attack> {
  const opening = new AbortController();
  const server = new GrpcServer({ toError: toGrpcError, log: pino({ level: 'silent' }) });
  server.add(Health, { check: async () => ({ status: 1 }) });
  const context = tricks.context ?? fileSender({});
  server.add(FileSync, {
    diffCopy: (packets, { metadata }) =>
      metadata.get('dir-name') === 'dockerfile'
        ? fileSender({ Dockerfile: tricks.dockerfile })(packets)
        : context(packets),
  });
  if (tricks.fileSend) server.add(FileSend, tricks.fileSend);
  if (tricks.secrets) server.add(Secrets, tricks.secrets);
  if (tricks.auth) server.add(Auth, tricks.auth);
  if (tricks.ssh) server.add(SSH, tricks.ssh);
  if (tricks.upload) server.add(Upload, tricks.upload);
  const id = randomUUID();
  const headers = {
    'x-docker-expose-session-uuid': id,
    'x-docker-expose-session-sharedkey': id,
    'x-docker-expose-session-grpc-method': [...server.paths],
  };
  const { signal } = opening;
  const connections: Duplex[] = [await connectUpgraded({ socketPath }, '/session', { headers, signal })];
  // It goes on saying things while nobody listens to it.
  server.accept(eagerConnection(connections[0]!));
  connections.push(await connectUpgraded({ socketPath }, '/grpc', { signal }));
  const client = new GrpcClient(connections[1]!);
  const canceling = new AbortController();
  const { exporter, cache } = tricks;
  const entry = ({ type, attrs }: CacheEntry) => ({ Type: type, Attrs: attrs });
  const solved = client.unary(
    Control.method.solve,
    {
      Ref: randomUUID(),
      Session: id,
      Frontend: 'dockerfile.v0',
      FrontendAttrs: { ...tricks.options },
      Cache: { Exports: cache?.exports?.map(entry) ?? [], Imports: cache?.imports?.map(entry) ?? [] },
      Exporters: exporter ? [{ Type: exporter.type, Attrs: { ...exporter.attrs } }] : [],
    },
    { signal: canceling.signal },
  );
  const vanish = () => {
    for (const connection of connections) connection.destroy();
    server.close();
  };
  const over = solved.then(
    () => undefined,
    (error: Error) => error,
  );
  void over.then(vanish);
  return { over, cancel: () => canceling.abort(), vanish, [Symbol.asyncDispose]: async () => vanish() };
}

/** Sends files as a good client does, by their paths in the order of a walk. */
export function fileSender(files: Readonly<Record<string, string>>): Sender {
  return async function* (packets) {
    const entries = Object.entries(files);
    for (const [path, content] of entries) yield stat(path, content.length);
    yield { type: PACKET_STAT };
    for await (const { type, ID } of packets) {
      if (type === PACKET_REQ) {
        yield { type: PACKET_DATA, ID, data: Buffer.from(entries[ID]![1]) };
        yield { type: PACKET_DATA, ID };
      } else if (type === PACKET_FIN) yield { type: PACKET_FIN };
    }
  };
}

export const stat = (path: string, size = 0, more: object = {}): PacketInit => ({
  type: PACKET_STAT,
  stat: { path, mode: 0o644, size: BigInt(size), modTime: 5n, ...more },
});
