import { readFileSync, symlinkSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as secureRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { busyboxArchive } from '../../images/busybox-image.ts';
import { type CommandResult, run, succeed } from './command.ts';
import { freePorts } from './free-port.ts';
import { type Slipway, startSlipway } from './slipway.ts';

const slipwayProgram = fileURLToPath(new URL('../../../bin/slipway', import.meta.url));
const buildx = fileURLToPath(new URL('../../../.cache/clients/docker-buildx', import.meta.url));

const TENANTS = ['a', 'b'] as const;
/** What each of them may. */
const POLICY = 'containers: 5\nmemory: 268435456\nregistries: [registry.example]\n';

export interface Asked {
  readonly method?: string;
  readonly body?: unknown;
  /** In the place of a body in JSON. */
  readonly bytes?: Buffer;
  readonly headers?: Record<string, string>;
  /** Whose; without, none is shown. */
  readonly certificate?: string;
}

/** A gateway with a worker and the tenants `a` and `b`: each a robot with a certificate, and with busybox in its engine. */
export class TenantPool implements AsyncDisposable {
  readonly folder: string;
  /** `tcp://127.0.0.1:…`: where tenants come in. */
  readonly address: string;
  /** Where gateways reach the worker. */
  readonly workerAddress: string;
  readonly gateway: Slipway;
  readonly worker: Slipway;
  /** Of the tenants' robots, by tenant. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly env: NodeJS.ProcessEnv;

  constructor(
    parts: Pick<
      TenantPool,
      'folder' | 'address' | 'workerAddress' | 'gateway' | 'worker' | 'secrets' | 'env'
    >,
  ) {
    this.folder = parts.folder;
    this.address = parts.address;
    this.workerAddress = parts.workerAddress;
    this.gateway = parts.gateway;
    this.worker = parts.worker;
    this.secrets = parts.secrets;
    this.env = parts.env;
  }

  /** A command of the pool's operator. */
  slipway(...args: string[]): Promise<string> {
    return succeed(slipwayProgram, args, { env: this.env });
  }

  /** The docker command as a tenant, by the certificate of a client. */
  docker(tenant: string, ...args: string[]): Promise<CommandResult> {
    return this.as(tenant, 'docker', ...args);
  }

  /** Any command, with a tenant's settings of the docker command. */
  as(tenant: string, program: string, ...args: string[]): Promise<CommandResult> {
    return run(program, args, {
      env: {
        ...process.env,
        DOCKER_HOST: this.address,
        DOCKER_TLS_VERIFY: '1',
        DOCKER_CERT_PATH: join(this.folder, tenant),
        DOCKER_CONFIG: join(this.folder, `config-${tenant}`),
        DOCKER_BUILDKIT: '0',
      },
    });
  }

  async dockerOk(tenant: string, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.docker(tenant, ...args);
    if (code !== 0)
      throw new Error(`docker ${args.join(' ')}: ${stderr}\n${this.gateway.output.slice(-3000)}`);
    return stdout.trim();
  }

  /** A request to the tenants' address, or another one that speaks TLS with the pool's certificates. */
  ask(
    path: string,
    { method = 'GET', body, bytes, headers = {}, certificate }: Asked = {},
    address = this.address,
  ): Promise<{ status: number; text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const { hostname, port } = new URL(address.replace('tcp:', 'https:'));
    const pem = (name: string) => readFileSync(join(this.folder, certificate ?? 'a', name));
    const text = body === undefined ? undefined : JSON.stringify(body);
    const asking = secureRequest(
      {
        host: hostname,
        port,
        path,
        method,
        ca: pem('ca.pem'),
        // A worker's certificate has the name that it has in the pool.
        ...(address !== this.address && { checkServerIdentity: () => undefined }),
        ...(certificate && { cert: pem('cert.pem'), key: pem('key.pem') }),
        headers: { ...headers, ...(text && { 'Content-Type': 'application/json' }) },
        agent: false,
      },
      (answer) => {
        let said = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          said += chunk;
        });
        answer.on('end', () => resolve({ status: answer.statusCode!, text: said }));
      },
    );
    asking.on('error', reject);
    asking.end(bytes ?? text);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tenant of TENANTS) {
      const ids = (await this.docker(tenant, 'ps', '--all', '--quiet')).stdout.split('\n').filter(Boolean);
      if (ids.length > 0) await this.docker(tenant, 'rm', '--force', '--volumes', ...ids);
    }
    await this.worker[Symbol.asyncDispose]();
    if (this.gateway !== this.worker) await this.gateway[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The same with several workers, each in a network namespace of its own; all in one process group, which is both `gateway` and `worker`. */
export async function startTenantWorkers(
  workers: number,
  { policy = POLICY, env: more = {} }: { policy?: string; env?: Record<string, string> } = {},
): Promise<TenantPool> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const [port] = (await freePorts(1)) as [number];
  const address = `tcp://127.0.0.1:${port}`;
  const slipway = await startSlipway({
    args: ['--workers', String(workers), '--set', 'gateway.tls.names=[127.0.0.1]'],
    listen: [address],
    // Each worker has a sixteenth.
    env: { SLIPWAY_WORKER_TENANTS_SUBNET: '10.160.0.0/13', ...more },
  });
  started.use(slipway);
  const env = environmentOf(slipway);
  const secrets = await admitTenants(env, folder, policy);
  const both = { gateway: slipway, worker: slipway };
  const pool = new TenantPool({ folder, address, workerAddress: '', secrets, env, ...both });
  for (const tenant of TENANTS) await pool.dockerOk(tenant, 'load', '--input', await busyboxArchive());
  started.move();
  return pool;
}

const environmentOf = (gateway: Slipway): NodeJS.ProcessEnv => ({
  ...process.env,
  SLIPWAY_DATA_DIR: gateway.dataDir,
  DOCKER_HOST: `unix://${gateway.socket}`,
});

/** Makes the tenants, each with a folder of certificates and one of docker's settings; answers their robots' secrets. */
async function admitTenants(
  env: NodeJS.ProcessEnv,
  folder: string,
  policyText: string,
): Promise<Record<string, string>> {
  const slipway = (...args: string[]) => succeed(slipwayProgram, args, { env });
  const secrets: Record<string, string> = {};
  for (const tenant of TENANTS) {
    secrets[tenant] = /slr_\S+/.exec(await slipway('robot', 'add', `ci-${tenant}`))![0];
    const policy = join(folder, `${tenant}.yaml`);
    await writeFile(policy, policyText);
    await slipway('pool', 'tenant-set', tenant, '--policy', policy);
    await slipway('pool', 'tenant-grant', tenant, `robot:ci-${tenant}`);
    const output = ['--output', join(folder, tenant)];
    await slipway('pool', 'client-create', tenant, '--for', `robot:ci-${tenant}`, ...output);
    await mkdir(join(folder, `config-${tenant}`, 'cli-plugins'), { recursive: true });
    symlinkSync(buildx, join(folder, `config-${tenant}`, 'cli-plugins', 'docker-buildx'));
  }
  return secrets;
}

export async function startTenantPool({ policy = POLICY }: { policy?: string } = {}): Promise<TenantPool> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const [port, workers, own] = (await freePorts(3)) as [number, number, number];
  const address = `tcp://127.0.0.1:${port}`;
  const workerAddress = `tcp://127.0.0.1:${own}`;
  const gateway = await startSlipway({
    command: 'gateway',
    args: ['--set', 'gateway.tls.names=[127.0.0.1]'],
    listen: [address],
    env: { SLIPWAY_GATEWAY_WORKERS_LISTEN: `tcp://127.0.0.1:${workers}` },
  });
  started.use(gateway);
  const env = environmentOf(gateway);
  const slipway = (...args: string[]) => succeed(slipwayProgram, args, { env });
  const secrets = await admitTenants(env, folder, policy);
  const worker = await startSlipway({
    command: 'worker',
    args: ['--join', `https://127.0.0.1:${workers}`],
    env: {
      SLIPWAY_WORKER_POOL_TOKEN: (await slipway('pool', 'token-create')).trim(),
      SLIPWAY_WORKER_POOL_NAME: 'w1',
      SLIPWAY_WORKER_POOL_LISTEN: workerAddress,
    },
  });
  started.use(worker);
  const pool = new TenantPool({ folder, address, workerAddress, gateway, worker, secrets, env });
  for (const tenant of TENANTS) await pool.dockerOk(tenant, 'load', '--input', await busyboxArchive());
  started.move();
  return pool;
}
