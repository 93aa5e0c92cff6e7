import { execFile } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { openWorkerDatabase, type WorkerDatabase } from '#database/worker/open.ts';
import type { Platform } from '#oci/platform.ts';
import { busyboxArchive } from '#test/images/busybox-image.ts';
import { createDrivers, type Drivers, type DriversOptions } from '#worker/build/drivers/drivers.ts';
import type { ExecMount, ExecOp, FileAction, FileOp, Op, SourceOp } from '#worker/build/llb/op.ts';
import { type Edge, type Vertex, vertex } from '#worker/build/llb/vertex.ts';
import type { BuildLimits, OpContext, OpDriver } from '#worker/build/solve/op-driver.ts';
import type { LogEvent, StatusEvent } from '#worker/build/solve/progress.ts';
import type { LayersRef, Ref } from '#worker/build/solve/ref.ts';
import { createImages, type Images } from '#worker/images/images.ts';
import type { Sandbox, Sandboxes, SandboxRequest } from '#worker/networks/sandbox.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { probeHost } from '#worker/runtime/host/probe-host.ts';
import { RuncStepRunner } from '#worker/runtime/step/runc-step-runner.ts';
import { KernelMounter } from '#worker/snapshots/kernel-mounter.ts';
import { OverlayDiffApplier } from '#worker/snapshots/overlay-diff-applier.ts';
import { OverlayDiffComparer } from '#worker/snapshots/overlay-diff-comparer.ts';
import { OverlaySnapshotter } from '#worker/snapshots/overlay-snapshotter.ts';
import { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import { TestSession } from './test-session.ts';

export type FileActionWish = Partial<FileAction> & Pick<FileAction, 'type'>;

/** The drivers over real snapshots, mounts and runc, without a solver; `busybox:latest` is loaded. */
export class DriversWorld implements AsyncDisposable {
  readonly root: string;
  readonly database: WorkerDatabase;
  readonly images: Images;
  readonly snapshotter: OverlaySnapshotter;
  readonly drivers: Drivers;
  readonly host: HostFacts;
  readonly sandboxes = new LoopbackSandboxes();
  readonly mounter = new KernelMounter();
  session = new TestSession();
  resources = new AsyncDisposableStack();
  readonly logs: LogEvent[] = [];
  readonly statuses: StatusEvent[] = [];
  /** Of this world alone, so that what is left in it is this test's. */
  readonly cgroupParent: string;
  limits: BuildLimits;
  reused = 0;
  #controller = new AbortController();
  readonly #trees: TreePool;
  readonly #closing = new AsyncDisposableStack();

  static async open(options: WorldOptions = {}): Promise<DriversWorld> {
    const root = await mkdtemp(join(tmpdir(), 'slipway-drivers-'));
    const database = await openWorkerDatabase(join(root, 'worker.db'));
    const world = new DriversWorld(root, database, await probeHost(), options);
    await world.snapshotter.reconcile();
    await world.images.reconcile();
    await world.drivers.reconcile();
    await world.images.loader.load(createReadStream(await busyboxArchive()));
    return world;
  }

  private constructor(root: string, database: WorkerDatabase, host: HostFacts, options: WorldOptions) {
    this.root = root;
    this.database = database;
    this.host = host;
    this.cgroupParent = `/slipway-test-${root.slice(-6)}`;
    this.limits = { entitlements: new Set(), cgroupParent: this.cgroupParent };
    const trees = new TreePool();
    this.#trees = trees;
    const snapshotter = new OverlaySnapshotter({ database, trees }, { root: join(root, 'snapshots') });
    this.snapshotter = snapshotter;
    this.images = createImages(
      {
        database,
        content: new MemoryContentStore(),
        snapshotter,
        applier: new OverlayDiffApplier({ snapshotter, trees }),
        comparer: new OverlayDiffComparer({ snapshotter, trees }),
        events: { publish: () => {} },
        applyChanges: (config) => config,
        isRunning: () => false,
      },
      options.images,
    );
    this.drivers = createDrivers(
      {
        images: this.images,
        snapshotter,
        mounter: this.mounter,
        steps: new RuncStepRunner({ stateDir: join(root, 'run'), runc: host.tools.runc.path! }),
        sandboxes: options.sandboxes ?? this.sandboxes,
        database,
        host,
      },
      // Where something is kept ready, nobody can say that nothing is left.
      { root: join(root, 'builder'), ahead: false, ...options.drivers },
    );
  }

  get context(): OpContext {
    return {
      signal: this.#controller.signal,
      session: this.session,
      limits: this.limits,
      resources: this.resources,
      reused: () => {
        this.reused++;
      },
      progress: {
        status: (event) => void this.statuses.push(event),
        log: async (event) => void this.logs.push(event),
      },
    };
  }

  /** What commands have written so far. */
  get output(): string {
    return Buffer.concat(this.logs.map(({ data }) => data)).toString();
  }

  /** As before the first test. */
  begin(): void {
    this.#controller = new AbortController();
    this.logs.length = 0;
    this.statuses.length = 0;
    this.limits = { entitlements: new Set(), cgroupParent: this.cgroupParent };
  }

  /** Another client than before. */
  connectAnew(): void {
    this.session = new TestSession();
  }

  /** As when the build has ended. */
  async end(): Promise<void> {
    await this.resources.disposeAsync();
    this.resources = new AsyncDisposableStack();
  }

  cancel(): void {
    this.#controller.abort(new Error('canceled by the test'));
  }

  /** Runs a vertex on refs; answers the outputs. */
  async run(op: Op, inputs: readonly Ref[] = [], metadata: object = {}): Promise<readonly Ref[]> {
    const vertex = vertexOf(op, inputs.length);
    const known = { ...vertex, metadata: { ...vertex.metadata, ...metadata } };
    return this.#driverOf(op).run(known, inputs, this.context);
  }

  async keys(
    op: Op,
    inputs: readonly Ref[] = [],
  ): Promise<{ digest: string; contents: (string | undefined)[] }> {
    const { digest, inputs: keys } = await this.#driverOf(op).cacheMap(
      vertexOf(op, inputs.length),
      this.context,
    );
    const contents = keys.map(({ contentDigest }, at) => contentDigest?.(inputs[at]!, this.context));
    return { digest, contents: await Promise.all(contents) };
  }

  async busybox(): Promise<LayersRef> {
    const [ref] = await this.run({ kind: 'source', identifier: 'docker-image://busybox', attrs: {} });
    return ref as LayersRef;
  }

  /** `sh -c` on a root; answers the root afterwards. */
  async sh(root: Ref, command: string, wishes: ExecWishes = {}): Promise<LayersRef> {
    const { inputs = [], ignoreCache = false, ...op } = wishes;
    const [ref] = await this.run(execOf(command, op), [root, ...inputs], { ignoreCache });
    return ref as LayersRef;
  }

  /** What a command writes, run on a root that is thrown away. */
  async ask(root: Ref, command: string, wishes: ExecWishes = {}): Promise<string> {
    const before = this.logs.length;
    await this.sh(root, command, wishes);
    return Buffer.concat(this.logs.slice(before).map(({ data }) => data)).toString();
  }

  /** Puts a directory of this machine into the session's hands, as a ref. */
  directory(root: string, id = `directory ${root}`): Ref {
    return { kind: 'directory', root, id };
  }

  async folder(name: string): Promise<string> {
    const path = join(this.root, name);
    await mkdir(path, { recursive: true });
    return path;
  }

  async see<T>(ref: Ref, look: (root: string) => Promise<T>): Promise<T> {
    return this.drivers.views.reading(new Map([['', ref]]), look, { signal: this.context.signal });
  }

  async read(ref: Ref, path: string): Promise<string> {
    return this.see(ref, (root) => readFile(join(root, path), 'utf8'));
  }

  /** Path, type, mode, owner, size or target of everything in a ref, as find(1) prints it. */
  async list(ref: Ref, format = '%P %y %m %U:%G %l\\n'): Promise<string[]> {
    return this.see(ref, async (root) => {
      const { stdout } = await promisify(execFile)('find', [root, '-mindepth', '1', '-printf', format]);
      return stdout.trim().split('\n').filter(Boolean).sort();
    });
  }

  /** Everything that a driver may have left: mounts, step directories, active snapshots, sandboxes, control groups. */
  async leftovers(): Promise<string[]> {
    const left = (await this.mounter.mountsBelow(this.root)).map((path) => `mount ${path}`);
    for (const name of ['builder/mounts', 'builder/steps', 'run']) {
      const names = await readdir(join(this.root, name)).catch(() => []);
      left.push(...names.filter((entry) => entry !== 'runc').map((entry) => `${name}/${entry}`));
    }
    for await (const { key, kind } of this.snapshotter.walk()) {
      if (kind === 'active' && !key.startsWith('cache-mount-')) left.push(`snapshot ${key}`);
    }
    left.push(...[...this.sandboxes.attached].map((id) => `sandbox ${id}`));
    for (const controller of await readdir('/sys/fs/cgroup')) {
      const path = join('/sys/fs/cgroup', controller, this.cgroupParent);
      if (existsSync(path)) {
        const groups = (await readdir(path, { withFileTypes: true })).filter((entry) => entry.isDirectory());
        left.push(...groups.map(({ name }) => `cgroup ${controller}/${name}`));
      }
    }
    return left;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
    await this.drivers.stop();
    await this.#closing.disposeAsync();
    await this.snapshotter.settled();
    const left = await this.leftovers();
    for (const target of await this.mounter.mountsBelow(this.root)) await this.mounter.unmount(target);
    await this.images.stop();
    await this.#trees[Symbol.asyncDispose]();
    await this.database.destroy();
    for (const controller of await readdir('/sys/fs/cgroup')) {
      await promisify(execFile)('rmdir', [join('/sys/fs/cgroup', controller, this.cgroupParent)]).catch(
        () => {},
      );
    }
    await rm(this.root, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`a driver left ${left.join(', ')}`);
  }

  vertex(op: Op, inputs: number, platform?: Platform): Vertex {
    return vertexOf(op, inputs, platform);
  }

  #driverOf(op: Op): OpDriver {
    return this.drivers.ops[op.kind] as OpDriver;
  }
}

interface WorldOptions {
  readonly drivers?: Partial<DriversOptions>;
  readonly images?: Parameters<typeof createImages>[1];
  readonly sandboxes?: Sandboxes;
}

export interface ExecWishes extends Partial<Omit<ExecOp, 'mounts'>> {
  /** Besides the root. */
  readonly mounts?: readonly ExecMount[];
  /** After the root. */
  readonly inputs?: readonly Ref[];
  /** It is not to be looked up in the cache. */
  readonly ignoreCache?: boolean;
}

export function execOf(command: string, { mounts = [], inputs: _, ...wishes }: ExecWishes = {}): ExecOp {
  return {
    kind: 'exec',
    args: ['/bin/sh', '-c', command],
    env: ['PATH=/bin:/usr/bin'],
    cwd: '/',
    user: '',
    network: 'none',
    security: 'sandbox',
    removeMountStubsRecursive: true,
    mounts: [{ type: 'bind', dest: '/', input: 0, output: 0 }, ...mounts],
    ...wishes,
  };
}

export const SOURCE = (identifier: string, attrs: Record<string, string> = {}): SourceOp => ({
  kind: 'source',
  identifier,
  attrs,
});

export const COPY_DEFAULTS = {
  followSymlink: true,
  dirCopyContents: true,
  unpack: false,
  createDestPath: true,
  allowWildcard: true,
  allowEmptyWildcard: false,
};

/** A file op of one action on input 0, output 0, copying from input 1; or of several, each on the one before. */
export function fileOf(...wishes: FileActionWish[]): FileOp {
  const inputs = wishes.some(({ type }) => type === 'copy') ? 2 : 1;
  const actions = wishes.map((wish, at) => ({
    input: at === 0 ? 0 : inputs + at - 1,
    ...(wish.type === 'copy' && { ...COPY_DEFAULTS, secondaryInput: 1 }),
    ...(at === wishes.length - 1 && { output: 0 }),
    ...wish,
  }));
  return { kind: 'file', actions: actions as FileAction[] };
}

function vertexOf(op: Op, inputs: number, platform?: Platform): Vertex<never> {
  const edges: Edge[] = Array.from({ length: inputs }, (_, at) => ({
    vertex: vertex(SOURCE(`local://input-${at}`), [], { metadata: { name: `input ${at}` } }),
    output: 0,
  }));
  return vertex(op, edges, {
    metadata: { name: 'under test' },
    ...(platform && { platform }),
  }) as Vertex<never>;
}

/** Namespaces of their own without a way out. */
class LoopbackSandboxes implements Sandboxes {
  readonly attached = new Set<string>();

  async attach(request: SandboxRequest): Promise<Sandbox> {
    this.attached.add(request.containerId);
    return {
      containerId: request.containerId,
      namespace: request.mode === 'host' ? 'host' : 'new',
      endpoints: [],
      ports: [],
      resolvConf: 'nameserver 127.0.0.1\n',
      hosts: [`127.0.0.1\tlocalhost ${request.hostname}`, ...(request.extraHosts ?? []), ''].join('\n'),
    };
  }

  async detach(containerId: string): Promise<void> {
    this.attached.delete(containerId);
  }

  async get(): Promise<undefined> {
    return undefined;
  }

  async connect(): Promise<never> {
    throw new Error('not in a build');
  }

  async disconnect(): Promise<never> {
    throw new Error('not in a build');
  }

  async rename(): Promise<void> {}
}
