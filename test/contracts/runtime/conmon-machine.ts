import { existsSync } from 'node:fs';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  rmdir,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConmonRuntime } from '#worker/runtime/conmon/conmon-runtime.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { probeHost } from '#worker/runtime/host/probe-host.ts';
import { createSpec } from '#worker/runtime/spec/create-spec.ts';
import type { OciSpec } from '#worker/runtime/spec/oci-spec.ts';
import type { SpecRequest } from '#worker/runtime/spec/spec-request.ts';
import type { RuntimeUnderTest } from './runtime-contract.ts';

const COMMANDS = [
  ...[
    'sh',
    'echo',
    'cat',
    'true',
    'false',
    'sleep',
    'stty',
    'head',
    'yes',
    'id',
    'ls',
    'ps',
    'kill',
    'touch',
    'dd',
  ],
  ...[
    'printf',
    'env',
    'mount',
    'hostname',
    'tail',
    'tr',
    'grep',
    'sysctl',
    'test',
    'pwd',
    'tty',
    'wc',
    'mkdir',
  ],
];

/** Makes a root file system of one static binary. */
export async function makeRootfs(directory: string): Promise<void> {
  for (const name of ['bin', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp'])
    await mkdir(join(directory, name), { recursive: true });
  await copyFile('/bin/busybox', join(directory, 'bin/busybox'));
  await chmod(join(directory, 'bin/busybox'), 0o755);
  for (const name of COMMANDS) await symlink('busybox', join(directory, 'bin', name));
  await writeFile(
    join(directory, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\ndeveloper:x:1000:1000::/home/dev:/bin/sh\n',
  );
  await writeFile(join(directory, 'etc/group'), 'root:x:0:\ndeveloper:x:1000:\nvideo:x:44:developer\n');
}

/** The real thing: runc, conmon, a busybox root file system and a state directory of its own. */
export class ConmonMachine implements RuntimeUnderTest {
  readonly directory: string;
  readonly host: HostFacts;
  readonly cgroupParent: string;
  readonly runtime: ConmonRuntime;
  readonly #runtimes: ConmonRuntime[] = [];

  static async make(): Promise<ConmonMachine> {
    const directory = await mkdtemp(join(tmpdir(), 'slipway-rt-'));
    await makeRootfs(join(directory, 'rootfs'));
    return new ConmonMachine(directory, await probeHost());
  }

  private constructor(directory: string, host: HostFacts) {
    this.directory = directory;
    this.host = host;
    // Of its own, so that what is left in it is this test's.
    this.cgroupParent = `/slipway-test-${directory.slice(-6)}`;
    this.runtime = this.restart();
  }

  get stateDir(): string {
    return join(this.directory, 'state');
  }

  restart(): ConmonRuntime {
    const { runc, conmon, socat } = this.host.tools;
    const paths = { runc: runc.path!, conmon: conmon.path!, socat: socat.path! };
    const runtime = new ConmonRuntime({ stateDir: this.stateDir, cgroupParent: this.cgroupParent, ...paths });
    this.#runtimes.push(runtime);
    return runtime;
  }

  spec(id: string, args: string[], more: Partial<SpecRequest> = {}): Promise<OciSpec> {
    const request: SpecRequest = {
      id,
      rootfs: join(this.directory, 'rootfs'),
      args,
      env: ['PATH=/bin'],
      cwd: '/',
      hostname: 'testhost',
      namespaces: { network: 'new' },
      mounts: [],
      cgroupParent: this.cgroupParent,
    };
    return createSpec({ ...request, ...more }, this.host);
  }

  async leftovers(): Promise<string[]> {
    const state = await Promise.all(
      ['bundles', 'exits', 'runc'].map((name) => readdir(join(this.stateDir, name))),
    );
    return [...state.flat(), ...(await this.#processes()), ...(await this.#cgroups())];
  }

  async remove(): Promise<void> {
    for (const runtime of this.#runtimes) runtime[Symbol.dispose]();
    for (const base of await cgroupBases()) await rmdir(join(base, this.cgroupParent)).catch(() => undefined);
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Monitors, stdin writers and the runtime all have this directory in their command line or as their own. */
  async #processes(): Promise<string[]> {
    const found: string[] = [];
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (commandLine.includes(this.directory)) found.push(commandLine.replaceAll('\0', ' '));
    }
    return found;
  }

  async #cgroups(): Promise<string[]> {
    const found: string[] = [];
    for (const base of await cgroupBases()) {
      const parent = join(base, this.cgroupParent);
      if (!existsSync(parent)) continue;
      const entries = await readdir(parent, { withFileTypes: true });
      found.push(...entries.filter((entry) => entry.isDirectory()).map((entry) => join(parent, entry.name)));
    }
    return found;
  }
}

async function cgroupBases(): Promise<string[]> {
  const root = '/sys/fs/cgroup';
  if (existsSync(join(root, 'cgroup.controllers'))) return [root];
  return (await readdir(root)).map((name) => join(root, name));
}
