import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CommandOptions, type CommandResult, run, succeed } from './command.ts';

export interface DockerdOptions {
  /**
   * `own`: a network namespace with the engine's usual bridge, from which this machine's loopback cannot be reached.
   * `host`: this machine's network, so that it can pull from loopback; its containers have no bridge.
   */
  readonly network: 'own' | 'host';
  /** A folder with another engine's programs; Debian's engine otherwise. */
  readonly programs?: string;
}

/** A real Docker Engine beside Slipway, which touches nothing of this machine's bridges, rules and mounts. */
export class Dockerd implements AsyncDisposable {
  readonly #folder: string;
  readonly #process;
  readonly #cgroup: string;
  readonly #socket: string;
  #output = '';

  private constructor(folder: string, options: DockerdOptions) {
    this.#folder = folder;
    this.#socket = join(folder, 'docker.sock');
    this.#cgroup = `slipway-peer-${process.pid}`;
    const args = [
      '--data-root',
      join(folder, 'data'),
      '--exec-root',
      join(folder, 'exec'),
      '-p',
      join(folder, 'pid'),
    ];
    args.push('-H', `unix://${this.#socket}`, '--cgroup-parent', `/${this.#cgroup}`);
    if (options.network === 'host') args.push('--bridge=none', '--iptables=false', '--ip-forward=false');
    const script = options.network === 'own' ? 'ip link set lo up && exec dockerd "$@"' : 'exec dockerd "$@"';
    const namespaces = ['--mount', ...(options.network === 'own' ? ['--net'] : [])];
    this.#process = spawn('unshare', [...namespaces, 'sh', '-c', script, 'sh', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: [options.programs, process.env.PATH].filter(Boolean).join(':') },
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  /** Starts it and waits until it answers. */
  static async start(options: DockerdOptions): Promise<Dockerd> {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-dockerd-'));
    mkdirSync(join(folder, 'config'));
    const dockerd = new Dockerd(folder, options);
    const deadline = Date.now() + 60_000;
    while ((await dockerd.docker(['version'])).code !== 0) {
      const ended = dockerd.#process.exitCode !== null;
      if (ended || Date.now() > deadline) {
        await dockerd[Symbol.asyncDispose]();
        throw new Error(`dockerd does not answer:\n${dockerd.#output}`);
      }
      await sleep(50);
    }
    return dockerd;
  }

  docker(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run('docker', args, { ...options, env: this.clientEnv });
  }

  dockerOk(...args: string[]): Promise<string> {
    return succeed('docker', args, { env: this.clientEnv });
  }

  get clientEnv(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: this.#folder,
      DOCKER_HOST: `unix://${this.#socket}`,
      DOCKER_CONFIG: join(this.#folder, 'config'),
      DOCKER_BUILDKIT: '0',
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const containers = (await this.docker(['ps', '-aq'])).stdout.split('\n').filter(Boolean);
    if (containers.length > 0) await this.docker(['rm', '--force', '--volumes', ...containers]);
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGTERM');
      await once(this.#process, 'exit');
    }
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    for (const controller of readdirSync('/sys/fs/cgroup')) {
      removeCgroup(join('/sys/fs/cgroup', controller, this.#cgroup));
    }
    removeCgroup(join('/sys/fs/cgroup', this.#cgroup));
  }
}

function removeCgroup(folder: string): void {
  try {
    for (const { name } of readdirSync(folder, { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    )) {
      removeCgroup(join(folder, name));
    }
    rmdirSync(folder);
  } catch {
    // Not a hierarchy that it was in.
  }
}
