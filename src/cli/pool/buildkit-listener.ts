import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type SecureContextOptions } from 'node:tls';
import { parseListenAddress } from '#config/address.ts';
import type { Config } from '#config/schema.ts';
import type { GrpcServer } from '#worker/buildkit/grpc/grpc-server.ts';
import type { ClientConnections } from '../process/client-connections.ts';
import { listen } from '../process/listen.ts';
import type { RoleContext } from '../process/role.ts';

/** Listens for BuildKit's clients, and answers where. Connections go to `grpc`, which ends them. */
export async function listenForBuildkit(
  { buildkit, socketGroup }: { buildkit: Config['worker']['buildkit']; socketGroup: string },
  {
    grpc,
    role,
    started,
    clients,
  }: {
    grpc: Pick<GrpcServer, 'accept'>;
    role: RoleContext;
    started: AsyncDisposableStack;
    clients?: ClientConnections;
  },
): Promise<string[]> {
  const addresses: string[] = [];
  for (const address of buildkit.listen) {
    const parsed = parseListenAddress(address);
    const accept = (socket: Socket) => grpc.accept(socket);
    const secure = parsed !== undefined && 'host' in parsed && buildkit.tls.certificate !== null;
    const server = secure ? secureServer(buildkit.tls, role, accept) : createServer(accept);
    started.defer(() => closed(server));
    clients?.watch(server);
    addresses.push(await listen(server, address, { group: socketGroup }));
  }
  return addresses;
}

type Files = Config['worker']['buildkit']['tls'];

function secureServer(files: Files, role: RoleContext, accept: (socket: Socket) => void): Server {
  const always = { requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['h2'] };
  const server = createTlsServer({ ...read(files), ...always }, (socket) => {
    // buildx does not say what it is going to speak: without that Node takes it for HTTP/1.
    socket.alpnProtocol ||= 'h2';
    accept(socket);
  });
  server.on('tlsClientError', (error) => role.logger.debug({ err: error }, 'a BuildKit client was refused'));
  role.onReload(() => server.setSecureContext(read(files)));
  return server;
}

function read({ certificate, key, clientCa }: Files): SecureContextOptions {
  return {
    cert: readFileSync(certificate!),
    key: readFileSync(key!),
    ca: readFileSync(clientCa!),
    minVersion: 'TLSv1.2',
  };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
