import { chmod, chown, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { AgentOptions } from '#worker/build/session/build-session.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { Metadata } from '../grpc/metadata.ts';
import { SSH } from '../proto/github.com/moby/buildkit/session/sshforward/ssh_pb.ts';
import { messageDuplex } from './message-duplex.ts';

/** What one step may have open to an agent at once. */
const MAX_CONNECTIONS = 64;

/** A socket each of whose connections is one to the client's agent. */
export async function listenForAgent(
  client: GrpcClient,
  id: string,
  options: AgentOptions,
): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = join(options.directory, 'ssh_auth_sock');
  const controller = new AbortController();
  const signal = AbortSignal.any([options.signal, client.closed, controller.signal]);
  const server = createServer({ allowHalfOpen: true }, (socket) => void forward(client, id, socket, signal));
  server.maxConnections = MAX_CONNECTIONS;
  const dispose = async () => {
    controller.abort();
    await closed(server);
    await rm(path, { force: true });
  };
  try {
    await listening(server, path);
    await chown(path, options.uid, options.gid);
    await chmod(path, options.mode);
  } catch (error) {
    await dispose();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: dispose };
}

async function forward(client: GrpcClient, id: string, socket: Socket, signal: AbortSignal): Promise<void> {
  socket.on('error', () => socket.destroy());
  try {
    const metadata = new Metadata().add('buildkit.ssh.id', id);
    // Connections to agents are quiet for as long as they like.
    const call = client.stream(SSH.method.forwardAgent, { metadata, signal, patienceMs: 0 });
    const agent = messageDuplex(call.batches(), {
      send: (data) => call.send({ data }),
      finish: () => call.end(),
    });
    await Promise.all([pipeline(socket, agent, { signal }), pipeline(agent, socket, { signal })]);
  } catch {
    // One connection that broke is its user's concern.
  } finally {
    socket.destroy();
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
