import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PostgresServer } from '../../database/postgres-server.ts';
import { DistributionClient } from '../../registry/distribution-client.ts';
import { sharedS3 } from '../../s3/shared-s3.ts';
import { RoundRobin } from './round-robin.ts';

const program = fileURLToPath(new URL('../../../bin/slipway', import.meta.url));

export type Storage = 'filesystem' | 's3';

/** Three registry processes over one PostgreSQL and one store, behind a load balancer. */
export class Cluster implements AsyncDisposable {
  readonly postgres: PostgresServer;
  readonly balancer: RoundRobin;
  readonly members: readonly Member[];
  readonly #stack: AsyncDisposableStack;

  static async start(storage: Storage): Promise<Cluster> {
    await using stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'slipway-cluster-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const postgres = stack.use(await PostgresServer.start());
    const shared = {
      SLIPWAY_REGISTRY_DATABASE_DRIVER: 'postgres',
      SLIPWAY_REGISTRY_DATABASE_POSTGRES_URL: await postgres.createDatabase(),
      SLIPWAY_REGISTRY_USER: '',
      SLIPWAY_REGISTRY_RATE_LIMITS_ADDRESS: 'null',
      ...(storage === 's3' ? await onS3(folder) : onDisk(folder)),
    };
    const balancer = stack.use(await RoundRobin.start());
    const members = [];
    for (const number of [1, 2, 3]) {
      const env = { ...shared, SLIPWAY_DATA_DIR: join(folder, `data-${number}`) };
      members.push(stack.use(new Member(await freePort(), env)));
    }
    // At the same time, on an empty database.
    await Promise.all(members.map((member) => member.start()));
    const cluster = new Cluster(postgres, balancer, members, stack.move());
    cluster.#rebalance();
    return cluster;
  }

  private constructor(
    postgres: PostgresServer,
    balancer: RoundRobin,
    members: readonly Member[],
    stack: AsyncDisposableStack,
  ) {
    this.postgres = postgres;
    this.balancer = balancer;
    this.members = members;
    this.#stack = stack;
  }

  /** SQL on the registry's metadata. */
  query(sql: string): Promise<Record<string, unknown>[]> {
    return this.postgres.query(sql, 'test_1');
  }

  /** Kills a member as a machine that loses power would, and starts it again a moment later. */
  async crash(member: Member, { after = 0 } = {}): Promise<void> {
    await member.kill();
    this.#rebalance();
    await sleep(after);
    await member.start();
    this.#rebalance();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #rebalance(): void {
    this.balancer.balance(this.members.filter(({ up }) => up).map(({ address }) => address));
  }
}

/** One registry process. */
export class Member implements AsyncDisposable {
  readonly address: string;
  readonly client: DistributionClient;
  readonly #env: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;
  #output = '';

  constructor(port: number, env: Readonly<Record<string, string>>) {
    this.address = `127.0.0.1:${port}`;
    this.client = new DistributionClient(this.address);
    this.#env = { ...env, SLIPWAY_REGISTRY_LISTEN: this.address };
  }

  get up(): boolean {
    return this.#process !== undefined;
  }

  /** What it logged, over all its starts. */
  get output(): string {
    return this.#output;
  }

  async start(): Promise<void> {
    const child = spawn(program, ['registry'], {
      env: { ...process.env, ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
    this.#starting = child;
    for (let tries = 0; !(await answers(this.address)); tries++) {
      if (child.exitCode !== null || tries > 600) throw new Error(`it did not start:\n${this.#output}`);
      await sleep(50);
    }
    this.#process = child;
  }

  #starting: ChildProcess | undefined;

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#starting;
    this.#process = undefined;
    this.#starting = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.kill();
  }
}

function onDisk(folder: string): Record<string, string> {
  return { SLIPWAY_REGISTRY_STORAGE_FILESYSTEM_DIRECTORY: join(folder, 'blobs') };
}

async function onS3(folder: string): Promise<Record<string, string>> {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = await sharedS3();
  const secret = join(folder, 'secret');
  await writeFile(secret, secretAccessKey);
  return {
    SLIPWAY_REGISTRY_STORAGE_DRIVER: 's3',
    SLIPWAY_REGISTRY_STORAGE_S3_BUCKET: bucket,
    SLIPWAY_REGISTRY_STORAGE_S3_PREFIX: folder.split('/').at(-1)!,
    SLIPWAY_REGISTRY_STORAGE_S3_REGION: region,
    SLIPWAY_REGISTRY_STORAGE_S3_ENDPOINT: endpoint,
    SLIPWAY_REGISTRY_STORAGE_S3_PATH_STYLE: 'true',
    SLIPWAY_REGISTRY_STORAGE_S3_ACCESS_KEY_ID: accessKeyId,
    SLIPWAY_REGISTRY_STORAGE_S3_SECRET_ACCESS_KEY_FILE: secret,
  };
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    get(`http://${address}/v2/`, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
