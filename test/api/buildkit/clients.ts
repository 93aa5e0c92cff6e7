import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type CommandOptions, type CommandResult, run } from '../../e2e/harness/command.ts';
import { Terminal } from '../../e2e/harness/terminal.ts';

const folder = resolve('.cache/clients');

/** BuildKit's own clients, with settings of their own. */
export interface Clients extends Disposable {
  readonly folder: string;
  buildctl(address: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  buildx(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  docker(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** `buildx …` in front of a terminal. */
  terminal(args: readonly string[]): Terminal;
  readonly env: NodeJS.ProcessEnv;
}

/** `engine`: the address of the docker driver. */
export function createClients(engine: string): Clients {
  const own = mkdtempSync(join(tmpdir(), 'slipway-clients-'));
  mkdirSync(join(own, 'cli-plugins'));
  for (const name of ['docker-buildx', 'docker-compose'])
    symlinkSync(program(name), join(own, 'cli-plugins', name));
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    DOCKER_CONFIG: own,
    DOCKER_HOST: engine,
    BUILDX_CONFIG: join(own, 'buildx'),
  };
  delete env.DOCKER_CONTEXT;
  return {
    folder: own,
    env,
    buildctl: (address, args, options) =>
      run(program('buildctl'), ['--addr', address, ...args], { env, ...options }),
    buildx: (args, options) => run(program('docker-buildx'), args, { env, ...options }),
    docker: (args, options) => run('docker', args, { env, ...options }),
    terminal: (args) => new Terminal(program('docker-buildx'), args, env),
    [Symbol.dispose]: () => rmSync(own, { recursive: true, force: true }),
  };
}

function program(name: string): string {
  const path = join(folder, name);
  if (!existsSync(path)) throw new Error(`${name} is missing: node setup/main.mjs --for test`);
  return path;
}
