import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, succeed } from './command.ts';

/** A containerd with state, socket and snapshots of its own. */
export async function startContainerd(
  folder: string,
  env: NodeJS.ProcessEnv,
): Promise<AsyncDisposable & { ctr(...args: string[]): Promise<string> }> {
  mkdirSync(folder);
  const socket = join(folder, 'containerd.sock');
  const settings = join(folder, 'config.toml');
  writeFileSync(
    settings,
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
`,
  );
  const child = spawn('containerd', ['--config', settings], { stdio: 'ignore', env });
  const ctr = ['--address', socket];
  const options = { env };
  for (let tries = 0; (await run('ctr', [...ctr, 'version'], options)).code !== 0; tries++) {
    if (child.exitCode !== null || tries > 200) throw new Error('containerd does not start');
    await sleep(50);
  }
  return {
    ctr: (...args) => succeed('ctr', [...ctr, ...args], options),
    async [Symbol.asyncDispose]() {
      child.kill();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
