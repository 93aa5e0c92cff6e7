import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { parseListenAddress } from '#config/address.ts';
import type { Config } from '#config/schema.ts';
import { messageOf } from '#errors/errors.ts';
import { formatPlatform } from '#oci/platform.ts';
import type { MemberCredentials } from '#pool/member/credentials.ts';
import { type MemberReport, Membership } from '#pool/member/membership.ts';
import type { WorkerOffer } from '#pool/workers/worker-leases-repository.ts';
import { emulatedPlatforms, nativePlatforms } from '#worker/build/drivers/exec/emulation.ts';
import { readHost } from '#worker/system/host.ts';
import { listen } from '../process/listen.ts';
import { Refusal } from '../refusal.ts';
import { workerName } from './overlay.ts';

/**
 * Makes this worker one of a pool's, if it is to be one: it joins, listens for gateways, and keeps a lease. `engine`
 * answers gateways; it need not listen itself.
 */
export async function joinPool(
  config: Config,
  {
    engine,
    content,
    logger,
    started,
  }: {
    engine: Server;
    content: NonNullable<MemberReport['content']>;
    logger: Logger;
    started: AsyncDisposableStack;
  },
): Promise<Membership | undefined> {
  const { pool } = config.worker;
  if (pool.join === null) return undefined;
  const membership = await Membership.join(
    {
      url: pool.join,
      token: pool.token ?? tokenIn(pool.tokenFile),
      name: workerName(config),
      folder: join(config.dataDir, 'worker', 'pool'),
    },
    logger,
  );
  started.use(membership);
  const address = await reachable(config, { engine, membership, logger, started });
  const offer = { ...(await offerOf(pool.labels)), builds: config.worker.build.maxConcurrent };
  await membership.serve({ address, offer: () => offer, content });
  return membership;
}

/** Where gateways reach this worker: by TLS, or, on one machine, by its unix socket. */
async function reachable(
  { worker }: Config,
  parts: { engine: Server; membership: Membership; logger: Logger; started: AsyncDisposableStack },
): Promise<string> {
  const { pool } = worker;
  if (pool.listen === null) {
    const own = worker.listen.find((address) => address.startsWith('unix://'));
    if (own !== undefined) return pool.address ?? own;
    throw new Refusal('a worker of a pool needs worker.pool.listen, or a unix socket in worker.listen');
  }
  const server = secureServer(parts);
  const listening = await listen(server, pool.listen);
  parts.started.defer(() => void server.close());
  const parsed = parseListenAddress(pool.listen);
  const isAnywhere = parsed && 'host' in parsed && ['0.0.0.0', '::'].includes(parsed.host);
  if (isAnywhere && pool.address === null) {
    throw new Refusal(`worker.pool.address has to say how gateways write ${pool.listen}`);
  }
  return pool.address ?? listening;
}

/** Only for gateways of the pool: another worker's certificate is none of theirs. */
function secureServer({
  engine,
  membership,
  logger,
}: {
  engine: Server;
  membership: Membership;
  logger: Logger;
}): ReturnType<typeof createServer> {
  const always = { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' } as const;
  const server = createServer(
    { ...membership.credentials, ...always, allowHalfOpen: true },
    (socket: TLSSocket) => {
      if (socket.getPeerCertificate().subject?.O === 'gateway') {
        engine.emit('connection', socket as Socket);
        return;
      }
      logger.warn({ peer: socket.remoteAddress }, 'somebody else than a gateway was refused');
      socket.destroy();
    },
  );
  server.on('tlsClientError', (error) => logger.debug({ err: error }, 'a connection was refused'));
  membership.on('certified', (credentials: MemberCredentials) => server.setSecureContext(credentials));
  return server;
}

async function offerOf(labels: readonly string[]): Promise<WorkerOffer> {
  const { cpus, memory } = await readHost();
  const emulates = (await emulatedPlatforms()).map(formatPlatform);
  return {
    platforms: nativePlatforms().map(formatPlatform),
    ...(emulates.length > 0 && { emulates }),
    labels: Object.fromEntries(
      labels.map((label) => [label.slice(0, label.indexOf('=')), label.slice(label.indexOf('=') + 1)]),
    ),
    cpus,
    memory,
  };
}

function tokenIn(file: string | null): string | undefined {
  if (file === null) return undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new Refusal(`worker.pool.tokenFile: ${messageOf(error)}`, { cause: error });
  }
}
