import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { openWorkerDatabase, type WorkerDatabase } from '#database/worker/open.ts';
import type { EngineEvent } from '#worker/events/event-publisher.ts';
import { NetworkService } from '#worker/networks/network-service.ts';
import type { Sandbox, SandboxRequest } from '#worker/networks/sandbox.ts';

const PEER = join(import.meta.dirname, 'peer.ts');

/** A network service on this machine's real kernel, apart from all others by its bridge and its subnets. */
export class Lab implements AsyncDisposable {
  readonly directory: string;
  readonly bridge: string;
  /** All of its subnets are in here. */
  readonly block: string;
  readonly events: EngineEvent[] = [];
  networks!: NetworkService;
  #database!: WorkerDatabase;
  readonly #processes = new Set<ChildProcess>();

  private constructor(directory: string) {
    this.directory = directory;
    const [a, b, c] = randomBytes(3) as unknown as [number, number, number];
    this.bridge = `slt${Buffer.of(a, b, c).toString('hex')}`;
    this.block = `10.${128 + (a % 64)}.${b}`;
  }

  static async open(): Promise<Lab> {
    const lab = new Lab(await mkdtemp(join(tmpdir(), 'slipway-networks-')));
    await lab.restart([]);
    return lab;
  }

  /** As after a crash: a new process finds what the old one left. */
  async restart(live: readonly string[]): Promise<void> {
    await this.#database?.destroy();
    this.#database = await openWorkerDatabase(join(this.directory, 'worker.db'));
    this.networks = new NetworkService({
      database: this.#database,
      events: { publish: (event) => this.events.push(event) },
      options: {
        runDir: this.directory,
        defaultBridge: { name: this.bridge, subnet: `${this.block}.0/26` },
        addressPools: [{ base: `${this.block}.64/26`, size: 29 }],
      },
    });
    await this.networks.reconcile(live);
  }

  /** A request for a container on the default network, unless told otherwise. */
  request(name: string, wishes: Partial<SandboxRequest> = {}): SandboxRequest {
    return {
      containerId: Buffer.from(name).toString('hex').padEnd(64, '0'),
      containerName: name,
      hostname: `${name}-host`,
      mode: 'networks',
      endpoints: [{ network: 'bridge' }],
      ports: [],
      ...wishes,
    };
  }

  attach(name: string, wishes: Partial<SandboxRequest> = {}): Promise<Sandbox> {
    return this.networks.attach(this.request(name, wishes));
  }

  /** Begins to answer with `name` on ports inside a sandbox. */
  async serve(sandbox: Sandbox, name: string, ...ports: number[]): Promise<void> {
    const child = this.#peer(sandbox, 'serve', name, ...ports.map(String));
    this.#processes.add(child);
    for await (const line of createInterface(child.stdout!)) {
      if (line === 'ready') return;
      throw new Error(`the peer could not serve: ${line}`);
    }
    throw new Error('the peer ended');
  }

  /** What comes back inside a sandbox (or on the host) from that address: the name and the address it saw. */
  async ask(from: Sandbox | 'host', protocol: 'tcp' | 'udp', host: string, port: number): Promise<string> {
    return this.#answer(this.#peer(from, 'ask', protocol, host, String(port)));
  }

  /** What the embedded resolver says inside a sandbox, or the code of its refusal. */
  async resolve(from: Sandbox, type: 'A' | 'AAAA' | 'PTR', name: string): Promise<string> {
    return this.#answer(this.#peer(from, 'resolve', type, name));
  }

  /** Output of a command inside a sandbox. */
  run(sandbox: Sandbox, command: string, ...args: string[]): Promise<string> {
    const child = spawn('nsenter', [`--net=${sandbox.namespace}`, command, ...args], { stdio: 'pipe' });
    return this.#answer(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes) {
      if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
    }
    await this.networks.reconcile([]);
    await this.networks.prune();
    await this.networks.stop();
    await this.#database.destroy();
    await rm(this.directory, { recursive: true });
  }

  #peer(from: Sandbox | 'host', ...args: string[]): ChildProcess {
    const command = [process.execPath, '--disable-warning=ExperimentalWarning', PEER, ...args];
    const enter = from === 'host' ? [] : ['nsenter', `--net=${from.namespace}`];
    const [program = '', ...rest] = [...enter, ...command];
    return spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  async #answer(child: ChildProcess): Promise<string> {
    const output: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
    await once(child, 'close');
    return Buffer.concat(output).toString().trim();
  }
}
