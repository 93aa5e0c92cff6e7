import { connect } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Logger } from 'pino';
import { messageOf } from '#errors/errors.ts';
import { Code, GrpcError, toGrpcError } from '../grpc/grpc-error.ts';
import { GrpcServer } from '../grpc/grpc-server.ts';
import type { Metadata } from '../grpc/metadata.ts';
import type { ServiceHandlers } from '../grpc/server-call.ts';
import { Auth } from '../proto/github.com/moby/buildkit/session/auth/auth_pb.ts';
import { FileSend, FileSync } from '../proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { Secrets } from '../proto/github.com/moby/buildkit/session/secrets/secrets_pb.ts';
import { SSH } from '../proto/github.com/moby/buildkit/session/sshforward/ssh_pb.ts';
import { Upload } from '../proto/github.com/moby/buildkit/session/upload/upload_pb.ts';
import { Health, HealthCheckResponse_ServingStatus } from '../proto/grpc/health/v1/health_pb.ts';
import { messageDuplex } from '../session/message-duplex.ts';
import { MessageQueue } from '../session/message-queue.ts';
import { receiveDirectory } from './directory-output.ts';
import { offerDirectory } from './offered-directory.ts';
import type { Offers, Output } from './offers.ts';

/** Serves what a client offers, on the connections that it is given. */
export function offeringServer(offers: Offers, log: Logger): GrpcServer {
  const server = new GrpcServer({ toError: toGrpcError, log });
  const serving = { status: HealthCheckResponse_ServingStatus.SERVING };
  server.add(Health, { check: async () => serving });
  server.add(Auth, credentials(offers));
  if (offers.directories.size > 0) server.add(FileSync, directories(offers));
  if (offers.secrets.size > 0) server.add(Secrets, secrets(offers));
  if (offers.agents.size > 0) server.add(SSH, agents(offers));
  if (offers.uploads) server.add(Upload, uploads(offers.uploads));
  const [first] = offers.outputs.values();
  if (first?.kind === 'file') server.add(FileSend, files(offers));
  if (first?.kind === 'directory') server.add(FileSync, outputDirectories(offers), FileSend);
  return server;
}

function credentials(offers: Offers): ServiceHandlers<typeof Auth> {
  return {
    async credentials({ Host: host }) {
      const { username = '', secret = '' } = (await offers.credentials(host)) ?? {};
      return { Username: username, Secret: secret };
    },
  };
}

function directories(offers: Offers): ServiceHandlers<typeof FileSync> {
  return {
    async *diffCopy(packets, { metadata }) {
      const name = metadata.get('dir-name') ?? '';
      const root = offers.directories.get(name);
      if (root === undefined) throw new GrpcError(Code.notFound, `no access allowed to dir ${name}`);
      yield* offerDirectory(root, metadata, packets);
    },
  };
}

function outputDirectories(offers: Offers): ServiceHandlers<typeof FileSync> {
  return {
    async *diffCopy(packets, { metadata }) {
      const output = outputOf(offers, metadata);
      if (output.kind === 'directory') yield* receiveDirectory(output.path, packets);
    },
  };
}

function files(offers: Offers): ServiceHandlers<typeof FileSend> {
  return {
    // biome-ignore lint/correctness/useYield: the end of the call is all that is said.
    async *diffCopy(messages, { metadata }) {
      const output = outputOf(offers, metadata);
      if (output.kind !== 'file') return;
      await using file = await output.open();
      for await (const { data } of messages) await file.write(data);
      await file.finish();
    },
  };
}

function outputOf({ outputs }: Offers, metadata: Metadata): Output {
  const output = outputs.get(Number(metadata.get('buildkit-attachable-exporter-id') ?? 0));
  if (!output) throw new GrpcError(Code.notFound, 'no such output');
  return output;
}

function uploads(offered: NonNullable<Offers['uploads']>): ServiceHandlers<typeof Upload> {
  return {
    async *pull(_messages, { metadata }) {
      const path = metadata.get('urlpath') ?? '';
      const open = offered.get(path);
      if (!open) throw new GrpcError(Code.notFound, `no upload of the name ${path}`);
      for await (const data of await open()) yield { data };
    },
  };
}

function secrets(offers: Offers): ServiceHandlers<typeof Secrets> {
  return {
    async getSecret({ ID: id }) {
      const read = offers.secrets.get(id);
      if (!read) throw new GrpcError(Code.notFound, `secret ${id}: not found`);
      return { data: await read() };
    },
  };
}

function agents(offers: Offers): ServiceHandlers<typeof SSH> {
  const socketOf = (id: string | undefined) => {
    const socket = offers.agents.get(id || 'default');
    if (socket === undefined) throw new GrpcError(Code.notFound, `unset ssh forward key ${id || 'default'}`);
    return socket;
  };
  return {
    async checkAgent({ ID: id }) {
      socketOf(id);
      return {};
    },
    async *forwardAgent(messages, { metadata, signal }) {
      const socket = connect({ path: socketOf(metadata.get('buildkit.ssh.id')), allowHalfOpen: true });
      const outgoing = new MessageQueue<{ data: Uint8Array }>();
      const client = messageDuplex(messages.batches(), {
        send: (data) => outgoing.push({ data }),
        finish: () => outgoing.end(),
      });
      const both = [pipeline(client, socket, { signal }), pipeline(socket, client, { signal })];
      const over = Promise.all(both).finally(() => {
        socket.destroy();
        outgoing.end();
      });
      over.catch(() => undefined);
      yield* outgoing;
      await over.catch((error: unknown) => {
        throw new GrpcError(Code.unavailable, `the ssh agent: ${messageOf(error)}`);
      });
    },
  };
}
