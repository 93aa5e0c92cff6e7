import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CommandOptions, type CommandResult, run, succeed } from './command.ts';
import { freePorts } from './free-port.ts';
import { isRunning } from './process.ts';
import { Terminal } from './terminal.ts';

const program = fileURLToPath(new URL('../../../bin/slipway', import.meta.url));

export interface SlipwayOptions {
  /** `serve` runs both roles under the supervisor. */
  readonly command?: 'serve' | 'registry' | 'gateway' | 'worker';
  /** Behind a gateway with so many workers, unless `TEST_GATEWAY` says otherwise. */
  readonly workers?: number;
  /** More options of the command line. */
  readonly args?: readonly string[];
  /** Where a gateway listens besides. */
  readonly listen?: readonly string[];
  /** In a network namespace of its own, in which there is nothing but a loopback. */
  readonly apart?: boolean;
  /** Serve BuildKit's API on a socket of its own too. */
  readonly buildkit?: boolean;
  /** More settings, as `SLIPWAY_*` variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** `TEST_GATEWAY=3`: what tests ask of a worker, they ask of a gateway with that many. 0: of a worker, whatever they say. */
const { TEST_GATEWAY: behindGateway } = process.env;

/** Starts Slipway on folders, ports, a bridge and a subnet of its own, and waits until it answers. */
export async function startSlipway(options: SlipwayOptions = {}): Promise<Slipway> {
  const slipway = new Slipway(options, (await freePorts(1))[0]!);
  try {
    await slipway.start();
    return slipway;
  } catch (error) {
    await slipway[Symbol.asyncDispose]();
    throw error;
  }
}

/** The real thing, with the stock docker CLI pointed at it. Disposing removes its containers and everything it made. */
export class Slipway implements AsyncDisposable {
  /** Short, as it holds unix sockets. */
  readonly folder: string;
  readonly dataDir: string;
  readonly socket: string;
  /** `127.0.0.1:port` */
  readonly registry: string;
  readonly #command: NonNullable<SlipwayOptions['command']>;
  readonly #args: readonly string[];
  readonly #apart: boolean;
  readonly #env: NodeJS.ProcessEnv;
  #process: ChildProcess | undefined;
  #output = '';

  constructor(options: SlipwayOptions, port: number) {
    this.folder = mkdtempSync(join(tmpdir(), 'slipway-'));
    // The registry runs as a user of its own, who has to get to its data.
    chmodSync(this.folder, 0o711);
    mkdirSync(join(this.folder, 'docker-config'));
    this.dataDir = join(this.folder, 'data');
    this.socket = join(this.folder, 'docker.sock');
    this.registry = `127.0.0.1:${port}`;
    const { command = 'serve', args = [], apart = false } = options;
    this.#apart = apart;
    const workers = apart ? 0 : Number(behindGateway ?? options.workers ?? 0);
    const gateway = workers > 0 && args.length === 0 && ['serve', 'worker'].includes(command);
    this.#command = gateway ? 'serve' : command;
    this.#args = gateway ? ['--workers', String(workers)] : args;
    const block = `10.${220 + (port % 32)}`;
    const part = (port >> 5) % 8;
    this.#env = {
      ...process.env,
      SLIPWAY_DATA_DIR: this.dataDir,
      SLIPWAY_RUN_DIR: join(this.folder, 'run'),
      SLIPWAY_REGISTRY_LISTEN: this.registry,
      SLIPWAY_WORKER_LISTEN: `unix://${this.socket}`,
      SLIPWAY_GATEWAY_LISTEN: `[${[`unix://${this.socket}`, ...(options.listen ?? [])].join(', ')}]`,
      SLIPWAY_WORKER_TENANTS_SUBNET: `10.${128 + (port % 60)}.0.0/16`,
      ...(options.buildkit && {
        [gateway ? 'SLIPWAY_GATEWAY_BUILDKIT_LISTEN' : 'SLIPWAY_WORKER_BUILDKIT_LISTEN']:
          `[${this.buildkit}]`,
      }),
      SLIPWAY_WORKER_NETWORK_DEFAULT_BRIDGE_NAME: `slipt${port}`,
      // Of a pool's, each worker gets a sixteenth.
      SLIPWAY_WORKER_NETWORK_DEFAULT_BRIDGE_SUBNET: `${block}.${part * 32}.0/${gateway ? 20 : 24}`,
      SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: `[{ base: ${block}.${part * 32 + 16}.0/20, size: ${gateway ? 28 : 24} }]`,
      // Tests of workers have servers of their own on the loopback.
      SLIPWAY_POOL_NAMESPACES: gateway ? 'null' : `10.254.${port % 256}.0/24`,
      SLIPWAY_POOL_OVERLAY_ADDRESS_POOLS: `[{ base: 10.${192 + (port % 14)}.0.0/16, size: 24 }]`,
      ...options.env,
    };
  }

  /** Where BuildKit's API is, if it was asked for. */
  get buildkit(): string {
    return `unix://${join(this.folder, 'buildkit.sock')}`;
  }

  /** The environment in which clients find it. */
  get clientEnv(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: this.folder,
      DOCKER_HOST: `unix://${this.socket}`,
      DOCKER_CONFIG: join(this.folder, 'docker-config'),
      DOCKER_BUILDKIT: '0',
    };
  }

  /** Everything it wrote, over all its starts. */
  get output(): string {
    return this.#output;
  }

  /** Of the supervisor, or of the one role. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Starts it (again, on the same data) and waits until every role answers. */
  async start(): Promise<void> {
    const own = ['--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', program];
    const command = [...(this.#apart ? ['unshare', ...own] : [program]), this.#command, ...this.#args];
    const child = spawn(command[0]!, command.slice(1), {
      env: this.#env,
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    const earlier = this.#output.length;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (data: string) => {
        this.#output += data;
      });
    }
    // What an earlier start left may still answer: this one has to say that it serves.
    await this.#until(() => / serves[ ,]/.test(this.#output.slice(earlier)), 'does not say that it serves');
    await this.ready();
  }

  /** Waits until every role answers, as after one of them was killed. */
  async ready(): Promise<void> {
    if (this.#command === 'serve' || this.#command === 'registry')
      await this.#answers({ host: '127.0.0.1', port: this.registry.split(':')[1]!, path: '/v2/' });
    if (this.#command !== 'registry') await this.#answers({ socketPath: this.socket, path: '/_ping' });
  }

  /** Runs `docker …` to its end, whatever that is. */
  docker(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run('docker', args, { ...options, env: { ...this.clientEnv, ...options.env } });
  }

  /** The output of `docker …`, which has to succeed. */
  dockerOk(...args: string[]): Promise<string> {
    return succeed('docker', args, { env: this.clientEnv });
  }

  /** `docker …` in front of a terminal. */
  dockerTerminal(...args: string[]): Terminal {
    return new Terminal('docker', args, this.clientEnv);
  }

  /** The process of a role under the supervisor. */
  rolePid(role: RoleFolder): number {
    return Number(readFileSync(join(this.dataDir, role, 'pid'), 'utf8'));
  }

  /** Of all that the engine is: the worker; or the gateway and its workers. */
  get enginePids(): number[] {
    const roles = this.#engineRoles().filter((role) => this.#hasBegun(role));
    return roles.map((role) => this.rolePid(role));
  }

  /** Sends a signal to the supervisor, or the one role, and waits for its end. Resolves to the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#process;
    if (!child) return null;
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, 'exit');
    }
    this.#process = undefined;
    await this.#rolesEnded();
    return child.exitCode;
  }

  /** After a supervisor that was killed its roles end by themselves. */
  async #rolesEnded(): Promise<void> {
    for (const role of ['registry', ...this.#engineRoles()] as const) {
      const pid = this.#hasBegun(role) ? this.rolePid(role) : 0;
      while (pid > 0 && isRunning(pid)) await sleep(20);
    }
  }

  #engineRoles(): RoleFolder[] {
    const own = existsSync(this.dataDir) ? readdirSync(this.dataDir) : [];
    const workers = own.filter((name) => name.startsWith('worker-')).map((name) => `${name}/worker`);
    return ['gateway', 'worker', ...(workers as RoleFolder[])];
  }

  #hasBegun(role: RoleFolder): boolean {
    return existsSync(join(this.dataDir, role, 'pid'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#command !== 'registry' && this.#alive()) await this.#removeEverything();
    await this.stop();
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .flatMap((line) => line.split(' ')[4] ?? [])
      .filter((path) => path.startsWith(`${this.folder}/`));
    for (const path of mounts.reverse()) await run('umount', ['-l', path]);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    if (mounts.length > 0) throw new Error(`mounts were left:\n${mounts.join('\n')}\n${this.#output}`);
  }

  async #removeEverything(): Promise<void> {
    const containers = (await this.docker(['ps', '--all', '--quiet', '--no-trunc'])).stdout
      .split('\n')
      .filter(Boolean);
    if (containers.length > 0) await this.docker(['rm', '--force', '--volumes', ...containers]);
    await this.docker(['network', 'prune', '--force']);
  }

  #alive(): boolean {
    return (
      this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
    );
  }

  #answers(target: HttpTarget): Promise<void> {
    return this.#until(() => statusOf(target).catch(() => undefined), `does not answer on ${target.path}`);
  }

  async #until(condition: () => unknown, complaint: string): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!(await condition())) {
      if (!this.#alive()) throw new Error(`Slipway ended while it was starting:\n${this.#output}`);
      if (Date.now() > deadline) throw new Error(`Slipway ${complaint}:\n${this.#output}`);
      await sleep(20);
    }
  }
}

/** Below the data directory; `worker-1/worker` of a pool on one machine. */
type RoleFolder = 'registry' | 'gateway' | 'worker' | `worker-${string}/worker`;

interface HttpTarget {
  path: string;
  socketPath?: string;
  host?: string;
  port?: string;
}

function statusOf(target: HttpTarget): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request({ ...target, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.once('error', reject);
    sent.end();
  });
}
