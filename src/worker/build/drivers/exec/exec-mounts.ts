import { closeSync, fstatSync } from 'node:fs';
import { mkdir, rmdir, unlink, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { invalid, messageOf, notFound, systemCode } from '#errors/errors.ts';
import type { SpecMount } from '#worker/runtime/spec/spec-request.ts';
import { openInRoot } from '#worker/snapshots/libc.ts';
import type { Mounter } from '#worker/snapshots/mount.ts';
import { absolutePath, rootPath, statOf } from '../../files/root-path.ts';
import type { ExecMount, ExecOp } from '../../llb/op.ts';
import type { BuildSession } from '../../session/build-session.ts';
import { EMPTY, type Ref } from '../../solve/ref.ts';
import type { Layers, RequireOptions } from '../layers.ts';
import type { RefViews } from '../ref-views.ts';
import type { Workspace, Workspaces } from '../workspaces.ts';
import { type CacheMountRequest, type CacheMounts, cacheMountName } from './cache-mounts.ts';
import { PrivateFiles } from './private-files.ts';

export interface ExecMountsPorts {
  readonly workspaces: Workspaces;
  readonly views: RefViews;
  readonly layers: Layers;
  readonly caches: CacheMounts;
  readonly mounter: Mounter;
}

type CacheMount = Extract<ExecMount, { type: 'cache' }>;

/** A mount whose changes somebody asks for: a file system that is written to, or an input that stays as it is. */
export interface MountOutput {
  readonly output: number;
  readonly from: Workspace | Ref;
}

export interface MountedStep {
  /** The step's own. */
  readonly directory: string;
  readonly session: BuildSession;
  readonly options: RequireOptions;
  /** It is not to find what others have left in its caches. */
  readonly renew: boolean;
}

/** What one command has for its files. Disposed of, all of it is gone again, but for what was committed. */
export class ExecMounts implements AsyncDisposable {
  readonly #ports: ExecMountsPorts;
  readonly #session: BuildSession;
  readonly #options: RequireOptions;
  readonly #directory: string;
  readonly #renew: boolean;
  /** Directories of its caches. */
  readonly #caches = new Map<ExecMount, string>();
  readonly #opened = new AsyncDisposableStack();
  readonly specs: SpecMount[] = [];
  readonly outputs: MountOutput[] = [];
  root!: Workspace;
  #private: PrivateFiles | undefined;

  private constructor(ports: ExecMountsPorts, step: MountedStep) {
    this.#ports = ports;
    this.#session = step.session;
    this.#options = step.options;
    this.#directory = step.directory;
    this.#renew = step.renew;
  }

  /** Throws `not-found` for a selector, a secret or an agent that is not there, and as `Layers.require` does. */
  static async open(
    op: ExecOp,
    inputs: readonly Ref[],
    ports: ExecMountsPorts,
    step: MountedStep,
  ): Promise<ExecMounts> {
    const mounts = new ExecMounts(ports, step);
    try {
      await mounts.#open(op, inputs);
      return mounts;
    } catch (error) {
      await mounts[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }

  async #open(op: ExecOp, inputs: readonly Ref[]): Promise<void> {
    const placed = op.mounts.map((mount) => ({ ...mount, dest: posix.resolve(op.cwd || '/', mount.dest) }));
    const root = placed.find(({ dest }) => dest === '/');
    if (root?.type !== 'bind') throw invalid('a command needs a root file system');
    const refOf = ({ input }: ExecMount): Ref => {
      const ref = input === undefined ? EMPTY : inputs[input];
      if (!ref) throw invalid(`invalid mount input ${input}`);
      return ref;
    };
    await this.#openCaches(placed, refOf);
    // One after the other: what a mount is in is mounted before it.
    for (const mount of placed.toSorted((a, b) => (a.dest < b.dest ? -1 : 1))) {
      const ref = refOf(mount);
      if (mount === root) this.root = await this.#writable(mount, ref, { mounted: true });
      else await this.#add(mount, ref);
    }
  }

  async #add(mount: ExecMount, ref: Ref): Promise<void> {
    const destination = mount.dest;
    switch (mount.type) {
      case 'bind':
        this.#bind(mount, await this.#bindRoot(mount, ref));
        return;
      case 'cache':
        await this.#cache(mount);
        return;
      case 'tmpfs': {
        const size = mount.size ? [`size=${mount.size}`] : [];
        this.specs.push({ type: 'tmpfs', destination, options: ['exec', 'mode=1777', ...size] });
        return;
      }
      case 'secret':
      case 'ssh': {
        const files = await this.#privateFiles();
        const { signal } = this.#options;
        const source =
          mount.type === 'secret'
            ? await files.secret(mount, this.#session, signal)
            : await files.agent(mount, this.#session, signal);
        if (source === undefined) return;
        const options = ['rbind', 'ro', 'nosuid', 'nodev', 'noexec'];
        this.specs.push({ type: 'bind', source, destination, readonly: true, options });
      }
    }
  }

  async #bindRoot(mount: ExecMount, ref: Ref): Promise<string> {
    if (mount.readonly) {
      if (mount.output !== undefined) this.outputs.push({ output: mount.output, from: ref });
      return this.#opened.use(await this.#ports.views.open(ref, this.#options)).root;
    }
    if (mount.output === undefined && ref.kind === 'directory') {
      return this.#opened.use(await this.#ports.workspaces.scratch(ref)).root;
    }
    return (await this.#writable(mount, ref, { mounted: false })).root;
  }

  async #writable(mount: ExecMount, ref: Ref, { mounted }: { mounted: boolean }): Promise<Workspace> {
    const workspace = await this.#ports.workspaces.open(ref, { ...this.#options, mounted });
    this.#opened.use(workspace);
    const { output } = mount;
    if (output !== undefined) this.outputs.push({ output, from: mount.readonly ? ref : workspace });
    return workspace;
  }

  /** Nobody else writes below `root` until the command runs. */
  #bind({ dest: destination, selector = '', readonly = false }: ExecMount, root: string): void {
    const source = rootPath(root, selector);
    if (!statOf(source)) throw notFound(`${JSON.stringify(absolutePath(selector))}: not found`);
    this.specs.push({ type: 'bind', source, destination, readonly });
  }

  /** Two mounts of one cache are one directory, and each is taken once. */
  async #openCaches(mounts: readonly ExecMount[], refOf: (mount: ExecMount) => Ref): Promise<void> {
    const wanted = new Map<string, { request: CacheMountRequest; mounts: ExecMount[] }>();
    for (const mount of mounts) {
      if (mount.type !== 'cache') continue;
      const request = await this.#cacheRequest(mount, refOf(mount));
      const name = cacheMountName(request);
      const known = wanted.get(name);
      // The first of them that wants nobody else in it speaks for all.
      const strictest = known && known.request.sharing !== 'shared' ? known.request : request;
      wanted.set(name, { request: strictest, mounts: [...(known?.mounts ?? []), mount] });
    }
    // In the same order by all commands: none waits for one that waits for it.
    for (const [, { request, mounts: of }] of [...wanted].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const renewFor = this.#renew ? (this.#session.original ?? this.#session) : undefined;
      const opened = await this.#ports.caches.open(request, { ...this.#options, renewFor });
      const { root } = this.#opened.use(opened);
      for (const mount of of) this.#caches.set(mount, root);
    }
  }

  async #cacheRequest(mount: CacheMount, ref: Ref): Promise<CacheMountRequest> {
    const { workspaces, layers } = this.#ports;
    const seed = ref.kind === 'layers' ? ref : await workspaces.import(ref, this.#options);
    const { id, sharing } = mount;
    return { id, sharing, seed: await layers.require(seed, this.#options) };
  }

  /** Other commands may write in it meanwhile: what the selector means is looked up, and held, by the kernel. */
  async #cache(mount: CacheMount): Promise<void> {
    const { dest: destination, selector = '/', readonly = false } = mount;
    const source = await this.#held(this.#caches.get(mount)!, selector);
    this.specs.push({ type: 'bind', source, destination, readonly });
  }

  async #held(root: string, selector: string): Promise<string> {
    if (absolutePath(selector) === '/') return root;
    const target = join(this.#directory, `mount-${this.specs.length}`);
    let handle: number;
    try {
      handle = openInRoot(root, absolutePath(selector));
    } catch (error) {
      if (systemCode(error) === 'ENOENT') throw notFound(`${JSON.stringify(selector)}: not found`);
      throw invalid(`cannot mount ${selector}: ${messageOf(error)}`, { cause: error });
    }
    try {
      const isDirectory = fstatSync(handle).isDirectory();
      if (isDirectory) await mkdir(target);
      else await writeFile(target, '');
      const source = `/proc/self/fd/${handle}`;
      await this.#ports.mounter.mount({ type: 'bind', source, options: ['bind'] }, target);
      this.#opened.defer(async () => {
        await this.#ports.mounter.unmount(target);
        // Never recursively: were it still mounted, that would be somebody's files.
        await (isDirectory ? rmdir(target) : unlink(target));
      });
    } finally {
      closeSync(handle);
    }
    return target;
  }

  async #privateFiles(): Promise<PrivateFiles> {
    this.#private ??= this.#opened.use(
      await PrivateFiles.open(join(this.#directory, 'own'), this.#ports.mounter),
    );
    return this.#private;
  }
}
