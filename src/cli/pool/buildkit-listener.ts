import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type SecureContextOptions, type TLSSocket } from 'node:tls';
import { parseListenAddress } from '#config/address.ts';
import type { Config } from '#config/schema.ts';
import { messageOf } from '#errors/errors.ts';
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
    tenants,
  }: {
    grpc: Pick<GrpcServer, 'accept'>;
    role: RoleContext;
    started: AsyncDisposableStack;
    clients?: ClientConnections;
    tenants?: BuildkitTenants | undefined;
  },
): Promise<string[]> {
  const addresses: string[] = [];
  for (const address of buildkit.listen) {
    const parsed = parseListenAddress(address);
    const accept = (socket: Socket) => grpc.accept(socket);
    const isTcp = parsed !== undefined && 'host' in parsed;
    const { tls } = buildkit;
    const server =
      isTcp && tls.certificate !== null
        ? secureServer(() => read(tls), role, accept)
        : isTcp && tenants
          ? tenantsServer(tenants, role)
          : createServer(accept);
    started.defer(() => closed(server));
    clients?.watch(server);
    addresses.push(await listen(server, address, { group: socketGroup }));
  }
  return addresses;
}

type Files = Config['worker']['buildkit']['tls'];

/** Those whose certificates of the pool say who they are, where no other authority was named. */
interface BuildkitTenants {
  /** The listener's own certificate, and the pool's. */
  readonly context: () => SecureContextOptions;
  /** Has the context read again when it changes. */
  readonly onRenewed: (renew: () => void) => void;
  /** Throws for who is nobody's. */
  readonly grpcOf: (certificate: string) => Promise<Pick<GrpcServer, 'accept'>>;
}

function tenantsServer({ context, onRenewed, grpcOf }: BuildkitTenants, role: RoleContext): Server {
  const server = secureServer(context, role, async (socket) => {
    socket.on('error', () => socket.destroy());
    try {
      const certificate = socket.getPeerX509Certificate()?.toString() ?? '';
      const grpc = await grpcOf(certificate);
      if (!socket.destroyed) grpc.accept(socket);
    } catch (error) {
      role.logger.info({ reason: messageOf(error) }, 'a BuildKit client was refused');
      socket.destroy();
    }
  });
  onRenewed(() => server.setSecureContext(context()));
  return server;
}

function secureServer(
  context: () => SecureContextOptions,
  role: RoleContext,
  accept: (socket: TLSSocket) => void,
) {
  const always = { requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['h2'] };
  const server = createTlsServer({ ...context(), ...always }, (socket) => {
    // buildx does not say what it is going to speak: without that Node takes it for HTTP/1.
    socket.alpnProtocol ||= 'h2';
    accept(socket);
  });
  server.on('tlsClientError', (error) => role.logger.debug({ err: error }, 'a BuildKit client was refused'));
  role.onReload(() => server.setSecureContext(context()));
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
