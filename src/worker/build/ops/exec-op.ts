import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { createSpec } from '#worker/runtime/spec/create-spec.ts';
import type { SpecMount } from '#worker/runtime/spec/spec-request.ts';
import { resolveUser } from '#worker/runtime/spec/user.ts';
import type { StepRunner } from '#worker/runtime/step/step-runner.ts';
import { MountStubs } from '../drivers/exec/mount-stubs.ts';
import { RootedDirectory } from '../files/rooted-directory.ts';
import type { ExecLimits, ExecOp } from '../graph/op.ts';
import type { OpResult, OpRunner, RunOptions } from '../graph/op-runner.ts';
import { layersOf, type Result, snapshotOf } from '../graph/result.ts';
import { BuildFailure } from './build-failure.ts';
import type { BuildNetwork, StepNetwork } from './build-network.ts';
import { contentKey } from './content-key.ts';
import type { LayerWorkspace, Workspace } from './layer-workspace.ts';

const SCRIPT_DIRECTORY = '/dev/pipes';

export interface ExecOpPorts {
  readonly workspace: LayerWorkspace;
  readonly network: BuildNetwork;
  readonly steps: StepRunner;
  readonly host: HostFacts;
}

export interface ExecOptions {
  /** The build's own, for what is mounted into steps. */
  readonly directory: string;
  readonly hostname: string;
  readonly limits: ExecLimits;
  /** Variables that every command gets and no cache key counts: proxies. */
  readonly hiddenEnv: readonly string[];
  readonly signal: AbortSignal;
}

/** RUN: a command in a container of its own, on the build's network. */
export class ExecOpRunner implements OpRunner<ExecOp> {
  readonly #ports: ExecOpPorts;
  readonly #options: ExecOptions;

  constructor(ports: ExecOpPorts, options: ExecOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  async *contentKeys(op: ExecOp, inputs: readonly Result[]): AsyncGenerator<string> {
    yield contentKey(op, inputs);
  }

  async run(op: ExecOp, inputs: readonly Result[], { user, observer }: RunOptions): Promise<OpResult> {
    const base = layersOf(inputs[0]);
    const { workspace, network } = this.#ports;
    const { signal } = this.#options;
    // The network of the first step takes longer than all else here; it is made beside it.
    const joining = network.join(op.network, signal);
    joining.catch(() => undefined);
    const id = randomBytes(32).toString('hex');
    await observer.running(id);
    let stubs: MountStubs | undefined;
    const layer = await workspace.layer(
      snapshotOf(base),
      user,
      async (rootfs) => {
        const spec = await this.#spec(op, id, rootfs, await joining);
        const { volumes = [] } = op;
        const mounted = spec.mounts.map((mount) => mount.destination);
        stubs = MountStubs.before(rootfs, [...mounted, ...volumes]);
        const directories = new RootedDirectory(rootfs.root);
        for (const volume of volumes) directories.make(volume, { uid: 0, gid: 0 });
        const output = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => observer.output(stream, bytes);
        const { code } = await this.#ports.steps.run({ spec, output }, { signal });
        if (code !== 0) throw new BuildFailure(op.args, code);
      },
      async (rootfs) => stubs?.remove(rootfs),
    );
    await observer.removed(id);
    if (!layer) return { result: base };
    return { result: { kind: 'layers', diffIds: [...base.diffIds, layer.diffId] }, layer };
  }

  async #spec(op: ExecOp, id: string, { root }: Workspace, network: StepNetwork) {
    const { home } = await resolveUser(root, op.user);
    const { hostname, hiddenEnv, limits } = this.#options;
    const { shmSize, resources, ulimits, cgroupParent } = limits;
    return createSpec(
      {
        id,
        rootfs: root,
        args: op.args,
        env: withDefaults(op.env, [...hiddenEnv, `HOSTNAME=${hostname}`, `HOME=${home}`]),
        cwd: op.cwd,
        user: op.user,
        hostname,
        namespaces: { network: network.namespace },
        mounts: [
          { type: 'bind', source: network.resolvConf, destination: '/etc/resolv.conf' },
          { type: 'bind', source: network.hosts, destination: '/etc/hosts' },
          ...(await this.#scriptMount(op, id)),
        ],
        ...(shmSize !== undefined && { shmSize }),
        ...(resources && { resources }),
        ...(ulimits && { ulimits }),
        ...(cgroupParent && { cgroupParent }),
      },
      this.#ports.host,
    );
  }

  async #scriptMount({ script }: ExecOp, id: string): Promise<SpecMount[]> {
    if (!script) return [];
    const directory = join(this.#options.directory, `script-${id.slice(0, 12)}`);
    await mkdir(directory, { recursive: true });
    await rm(join(directory, script.name), { force: true });
    await writeFile(join(directory, script.name), script.content, { mode: 0o755 });
    return [{ type: 'bind', source: directory, destination: SCRIPT_DIRECTORY, readonly: true }];
  }
}

function withDefaults(env: readonly string[], defaults: readonly string[]): string[] {
  const nameOf = (entry: string) => entry.split('=', 1)[0]!;
  const named = new Set(env.map(nameOf));
  return [...env, ...defaults.filter((entry) => !named.has(nameOf(entry)))];
}
