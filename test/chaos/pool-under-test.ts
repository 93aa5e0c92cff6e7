import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { PostgresServer } from '../database/postgres-server.ts';
import { succeed } from '../e2e/harness/command.ts';
import { freePorts } from '../e2e/harness/free-port.ts';
import { type Slipway, startSlipway } from '../e2e/harness/slipway.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { s3Environment } from '../s3/s3-environment.ts';
import { S3Proxy } from '../s3/s3-proxy.ts';
import type { S3Access } from '../s3/s3-server.ts';
import { Way } from './way.ts';

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));

/** A process of the pool, with the way that it has to the rest. */
export interface Member {
  readonly name: string;
  readonly process: Slipway;
  readonly way: Way;
}

/** A whole pool of real processes, every part of which can be taken away. */
export interface PoolUnderTest extends AsyncDisposable {
  readonly postgres: PostgresServer;
  readonly database: string;
  readonly s3: S3Proxy;
  readonly registry: Slipway;
  readonly gateways: readonly Member[];
  readonly workers: readonly Member[];
  /** The image that jobs run. */
  readonly image: string;
}

/** Every end of a job that there is, whoever brought it about: kept by the database itself. */
const AUDIT = `
  create table chaos_ends (job text not null, state text not null, attempt int not null, at timestamptz not null default clock_timestamp());
  create function chaos_note() returns trigger language plpgsql as
    $$ begin insert into chaos_ends (job, state, attempt) values (new.public_id, new.state, new.attempt); return null; end $$;
  create trigger chaos_note after update of state on jobs for each row
    when (old.state <> new.state and new.state in ('succeeded', 'failed', 'canceled', 'skipped')) execute function chaos_note()`;

/** Starts PostgreSQL, a registry over S3, gateways and workers, which reach each other and the database by ways. */
export async function startPool(options: {
  gateways: number;
  workers: number;
  s3: S3Access;
}): Promise<PoolUnderTest> {
  await using started = new AsyncDisposableStack();
  const s3 = started.use(await S3Proxy.start(options.s3.endpoint));
  const storage = s3Environment(
    { ...options.s3, endpoint: s3.endpoint },
    { prefix: `chaos/${randomUUID()}` },
  );
  const postgres = started.use(await PostgresServer.start());
  const url = new URL(await postgres.createDatabase());
  const registry = started.use(await startSlipway({ command: 'registry', env: storage }));
  const shared = {
    ...storage,
    SLIPWAY_POOL_DATABASE_DRIVER: 'postgres',
    SLIPWAY_POOL_DATABASE_POSTGRES_URL: url.href,
    SLIPWAY_POOL_LEASE: '4s',
    SLIPWAY_POOL_JOBS_STORAGE: 's3',
  };
  const ports = await freePorts(options.gateways);
  const gateways: Member[] = [];
  for (const [i, port] of ports.entries()) {
    const way = started.use(await Way.open(() => [Number(url.port)]));
    const own = new URL(url);
    own.port = String(way.port);
    const env = {
      ...shared,
      SLIPWAY_POOL_DATABASE_POSTGRES_URL: own.href,
      SLIPWAY_GATEWAY_WORKERS_LISTEN: `tcp://127.0.0.1:${port}`,
    };
    const process = started.use(await startSlipway({ command: 'gateway', env }));
    gateways.push({ name: `gateway ${i + 1}`, process, way });
  }
  const database = url.pathname.slice(1);
  await postgres.query(AUDIT, database);
  const workers: Member[] = [];
  for (let i = 1; i <= options.workers; i++) {
    // As a load balancer does: to a gateway that is there, which may be frozen.
    const way = started.use(await Way.open(() => ports));
    const token = await succeed(program, ['pool', 'token-create'], { env: { ...process.env, ...shared } });
    const worker = await startSlipway({
      command: 'worker',
      args: ['--join', `https://127.0.0.1:${way.port}`],
      env: {
        SLIPWAY_WORKER_POOL_TOKEN: token,
        SLIPWAY_WORKER_POOL_NAME: `w${i}`,
        SLIPWAY_WORKER_POOL_LISTEN: 'tcp://127.0.0.1:0',
        SLIPWAY_POOL_JOBS_SLOTS: '2',
      },
    });
    workers.push({ name: `worker ${i}`, process: started.use(worker), way });
  }
  const image = `${registry.registry}/library/busybox:1`;
  const [first] = workers;
  await first!.process.dockerOk('load', '--input', await busyboxArchive());
  await first!.process.dockerOk('tag', 'busybox', image);
  await first!.process.dockerOk('push', '--quiet', image);
  const running = started.move();
  return {
    postgres,
    database,
    s3,
    registry,
    gateways,
    workers,
    image,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
