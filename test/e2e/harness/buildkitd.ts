import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from './command.ts';

const CLIENTS = resolve('.cache/clients');

/** A program of BuildKit's that `npm test` has brought: `buildctl`, `buildkitd`, `docker-buildx`. */
export function buildKitProgram(name: string): string {
  const program = join(CLIENTS, name);
  if (existsSync(program)) return program;
  throw new Error(`${name} is missing: node setup/main.mjs --for test builds it into .cache/clients`);
}

export interface BuildkitdOptions {
  /** A registry in which `docker.io`'s images are. */
  readonly mirror?: string;
}

/** A real BuildKit on a folder of its own, with runc on this machine's network. */
export class Buildkitd implements AsyncDisposable {
  readonly address: string;
  readonly #folder: string;
  readonly #process;
  #output = '';

  private constructor(folder: string, program: string, { mirror }: BuildkitdOptions) {
    this.#folder = folder;
    this.address = `unix://${join(folder, 'buildkitd.sock')}`;
    const args = ['--root', join(folder, 'root'), '--addr', this.address, '--containerd-worker=false'];
    args.push('--oci-worker-binary', 'runc');
    if (mirror !== undefined) {
      const config = join(folder, 'buildkitd.toml');
      writeFileSync(
        config,
        `[registry."docker.io"]\nmirrors = ["${mirror}"]\n[registry."${mirror}"]\nhttp = true\n`,
      );
      args.push('--config', config);
    }
    // In a mount namespace of its own, so that what it mounts is gone with it.
    this.#process = spawn('unshare', ['--mount', program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, OTEL_TRACES_EXPORTER: 'none', BUILDKIT_STEP_LOG_MAX_SPEED: '-1' },
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  /** Starts it and waits until it answers. */
  static async start(
    program = buildKitProgram('buildkitd'),
    options: BuildkitdOptions = {},
  ): Promise<Buildkitd> {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-buildkitd-'));
    mkdirSync(join(folder, 'root'));
    const buildkitd = new Buildkitd(folder, program, options);
    const deadline = Date.now() + 30_000;
    const ask = () => run(buildKitProgram('buildctl'), ['--addr', buildkitd.address, 'debug', 'workers']);
    while ((await ask()).code !== 0) {
      const ended = buildkitd.#process.exitCode !== null;
      if (ended || Date.now() > deadline) {
        await buildkitd[Symbol.asyncDispose]();
        throw new Error(`buildkitd does not answer:\n${buildkitd.#output}`);
      }
      await sleep(50);
    }
    return buildkitd;
  }

  get pid(): number {
    return this.#process.pid!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGTERM');
      await once(this.#process, 'exit');
    }
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}
