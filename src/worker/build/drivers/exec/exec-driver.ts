import { randomBytes } from 'node:crypto';
import { mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { forbidden, invalid, isKind } from '#errors/errors.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { createSpec } from '#worker/runtime/spec/create-spec.ts';
import type { OciSpec } from '#worker/runtime/spec/oci-spec.ts';
import type { SpecResources } from '#worker/runtime/spec/spec-request.ts';
import { resolveUser } from '#worker/runtime/spec/user.ts';
import type { StepRunner } from '#worker/runtime/step/step-runner.ts';
import { goQuote } from '../../dockerfile/go-quote.ts';
import { RootedDirectory } from '../../files/rooted-directory.ts';
import type { ExecOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { CacheMap, OpContext, OpDriver } from '../../solve/op-driver.ts';
import type { Ref } from '../../solve/ref.ts';
import { BuildFailure } from '../build-failure.ts';
import type { ContentDigests } from '../content-digests.ts';
import { requiring } from '../layers.ts';
import { requireRunnable } from './emulation.ts';
import { execKeys } from './exec-keys.ts';
import { ExecMounts, type ExecMountsPorts } from './exec-mounts.ts';
import { MountStubs } from './mount-stubs.ts';
import { secretOf } from './private-files.ts';
import { HOSTNAME, type StepNetwork, type StepNetworks } from './step-networks.ts';
import { checkOwnLimits, stepResources } from './step-resources.ts';

/** What is in a step's directory. Small: each call takes less time than a thread does to hear of it. */
const FILES = ['resolv.conf', 'hosts'];
/** Of all that every command has mounted, what BuildKit takes away; `/proc` and its like stay. */
const STUBBED = ['/etc/resolv.conf', '/etc/hosts'];
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface ExecDriverPorts extends ExecMountsPorts {
  readonly networks: StepNetworks;
  readonly steps: StepRunner;
  readonly host: HostFacts;
  readonly digests: ContentDigests;
}

/** RUN: a command in a container of its own. */
export class ExecDriver implements OpDriver<ExecOp> {
  readonly #ports: ExecDriverPorts;
  readonly #directory: string;
  readonly #ahead: boolean;

  /**
   * `directory` is for what running steps need; `ahead`: a runtime and a network are kept ready once a step is expected,
   * while one runs, and for a second after it.
   */
  constructor(ports: ExecDriverPorts, options: { directory: string; ahead: boolean }) {
    this.#ports = ports;
    this.#directory = options.directory;
    this.#ahead = options.ahead;
  }

  async cacheMap(vertex: Vertex<ExecOp>): Promise<CacheMap> {
    const { digest, inputs } = execKeys(vertex);
    return {
      digest,
      inputs: inputs.map(({ paths, content }) => ({
        selector: JSON.stringify(paths),
        ...(content && {
          contentDigest: (ref: Ref, context: OpContext) =>
            this.#ports.digests.of(ref, content, requiring(vertex, context)),
        }),
      })),
    };
  }

  expected(): void {
    if (this.#ahead) this.#prepareNext();
  }

  async run(vertex: Vertex<ExecOp>, inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    checkEntitlements(vertex.op, context);
    checkOwnLimits(context.limits, vertex.op);
    checkOwnLimits(context.limits, context.limits);
    await requireRunnable(vertex.platform);
    const id = randomBytes(32).toString('hex');
    // Short: a socket's path in it has 107 bytes at most.
    const directory = join(this.#directory, id.slice(0, 12));
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    try {
      return await this.#runIn(directory, id, vertex, inputs, context);
    } finally {
      removeStepDirectory(directory);
    }
  }

  async #runIn(
    directory: string,
    id: string,
    vertex: Vertex<ExecOp>,
    inputs: readonly Ref[],
    context: OpContext,
  ): Promise<readonly Ref[]> {
    const { op } = vertex;
    const resources = stepResources(vertex.metadata.resources, context.limits);
    // A network takes longer than a few mounts do; it is made beside them.
    const joining = this.#join(op, context);
    await using left = new AsyncDisposableStack();
    left.defer(() => leave(joining));
    const options = requiring(vertex, context);
    const { session } = context;
    const renew = vertex.metadata.ignoreCache === true;
    const step = { directory, session, options, renew };
    await using mounts = await ExecMounts.open(op, inputs, this.#ports, step);
    const network = await joining;
    const spec = await naming(op, async () => {
      const env = await this.#environment(op, mounts.root.root, context);
      return this.#spec(op, { id, directory, mounts, env, resources, context, network });
    });
    const stubs = this.#prepare(op, mounts);
    await this.#execute(vertex, spec, context);
    // The network goes while the files are looked at.
    const leaving = leave(joining);
    await mounts.root.close();
    stubs.remove(mounts.root);
    const outputs: Ref[] = [];
    for (const { output, from } of mounts.outputs) {
      outputs[output] = 'commit' in from ? await from.commit() : from;
    }
    await leaving;
    return outputs;
  }

  #join(op: ExecOp, { signal }: OpContext): Promise<StepNetwork> {
    const extraHosts = (op.extraHosts ?? []).map(({ host, ip }) => `${host}:${ip}`);
    const { network: mode, hostname = HOSTNAME } = op;
    const joining = this.#ports.networks.join({ mode, hostname, extraHosts }, { signal });
    joining.catch(() => undefined);
    return joining;
  }

  /** Makes what is not to stay: directories to mount on, and those that volumes would be. */
  #prepare(op: ExecOp, mounts: ExecMounts): MountStubs {
    const { volumes = [], removeMountStubsRecursive: recursive = false } = op;
    const mounted = [...STUBBED, ...op.mounts.map(({ dest }) => dest)];
    const stubs = MountStubs.before(mounts.root, [...mounted, ...volumes], { recursive });
    const directories = new RootedDirectory(mounts.root.root);
    for (const volume of volumes) directories.make(volume, { uid: 0, gid: 0 });
    return stubs;
  }

  async #execute(vertex: Vertex<ExecOp>, spec: OciSpec, context: OpContext): Promise<void> {
    const { signal, progress } = context;
    const output = (stream: 'stdout' | 'stderr', data: Uint8Array) =>
      progress.log({ vertex: vertex.digest, stream, data, timestamp: new Date() });
    const running = naming(vertex.op, () => this.#ports.steps.run({ spec, output }, { signal }));
    if (this.#ahead) setImmediate(() => this.#prepareNext());
    const { code, outOfMemory } = await running;
    const { args, validExitCodes = [0] } = vertex.op;
    const valid = validExitCodes.length === 0 ? [0] : validExitCodes;
    if (!valid.includes(code)) throw new BuildFailure(args, code, { outOfMemory });
  }

  /** Commands come in rows: until this one ends there is time for the next. */
  #prepareNext(): void {
    this.#ports.steps.prepare();
    this.#ports.networks.prepare();
  }

  async #environment(op: ExecOp, root: string, { session, signal }: OpContext): Promise<string[]> {
    const { home } = await resolveUser(root, op.user);
    const env = withDefaults(op.env, [PATH, ...(op.proxyEnv ?? []), `HOME=${home}`]);
    for (const { id, name, optional = false } of op.secretEnv ?? []) {
      const value = await secretOf({ id, optional }, session, signal);
      if (value) env.push(`${name}=${Buffer.from(value).toString('utf8')}`);
    }
    return env;
  }

  async #spec(
    op: ExecOp,
    step: {
      id: string;
      directory: string;
      mounts: ExecMounts;
      env: readonly string[];
      resources: SpecResources | undefined;
      network: StepNetwork;
      context: OpContext;
    },
  ): Promise<OciSpec> {
    const { id, directory, mounts, env, resources, network, context } = step;
    const { shmSize, ulimits, cgroupParent } = context.limits;
    const files = { resolvConf: join(directory, 'resolv.conf'), hosts: join(directory, 'hosts') };
    writeFileSync(files.resolvConf, network.resolvConf, { mode: 0o644 });
    writeFileSync(files.hosts, network.hosts, { mode: 0o644 });
    const root = op.mounts.find(({ dest }) => dest === '/');
    const limits = op.ulimits?.length ? op.ulimits : ulimits;
    const parent = op.cgroupParent || cgroupParent;
    return createSpec(
      {
        id,
        rootfs: mounts.root.root,
        ...(root?.readonly && { readonlyRootfs: true }),
        args: op.args,
        env,
        cwd: op.cwd,
        user: op.user,
        hostname: op.hostname ?? HOSTNAME,
        ...(op.security === 'insecure' && { privileged: true }),
        namespaces: { network: network.namespace },
        mounts: [
          { type: 'bind', source: files.resolvConf, destination: '/etc/resolv.conf' },
          { type: 'bind', source: files.hosts, destination: '/etc/hosts' },
          ...mounts.specs,
        ],
        ...(shmSize !== undefined && { shmSize }),
        ...(resources && { resources }),
        ...(limits && { ulimits: limits }),
        ...(parent && { cgroupParent: parent }),
      },
      this.#ports.host,
    );
  }
}

/** Never recursively: what might still be mounted in it is somebody's files. */
function removeStepDirectory(directory: string): void {
  try {
    for (const name of FILES) rmSync(join(directory, name), { force: true });
    rmdirSync(directory);
  } catch {
    // What resists goes at the next start.
  }
}

function checkEntitlements({ network, security }: ExecOp, { limits }: OpContext): void {
  for (const [wanted, name] of [
    [network === 'host', 'network.host'],
    [security === 'insecure', 'security.insecure'],
  ] as const) {
    if (wanted && !limits.entitlements.has(name)) throw forbidden(`${name} is not allowed`);
  }
}

/** Says which command it was that could not be run. */
async function naming<T>({ args }: ExecOp, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (!isKind(error, 'invalid')) throw error;
    const what = `process ${goQuote(args.join(' '))} did not complete successfully`;
    throw invalid(`${what}: ${error.message}`, { cause: error });
  }
}

/** Once, however often it is asked for; one that was never there need not be left. */
async function leave(joining: Promise<StepNetwork>): Promise<void> {
  const network = await joining.catch(() => undefined);
  await network?.[Symbol.asyncDispose]();
}

function withDefaults(env: readonly string[], defaults: readonly string[]): string[] {
  const nameOf = (entry: string) => entry.split('=', 1)[0]!;
  const named = new Set(env.map(nameOf));
  return [...env, ...defaults.filter((entry) => !named.has(nameOf(entry)))];
}
