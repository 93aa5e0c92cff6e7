import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kysely } from 'kysely';
import { Semaphore } from '#async/semaphore.ts';
import type { BuildTables } from '#database/worker/build-schema.ts';
import { canceled, invalid } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { ImageSource } from '#worker/images/image-source.ts';
import type { Sandboxes } from '#worker/networks/sandbox.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import type { StepRunner } from '#worker/runtime/step/step-runner.ts';
import type { Mounter } from '#worker/snapshots/mount.ts';
import type { Snapshotter } from '#worker/snapshots/snapshotter.ts';
import { BaseImages, releaseAbandoned } from './base-images.ts';
import type { BasePuller } from './base-puller.ts';
import type { BuildOutput, BuildRequest } from './build-request.ts';
import { BuildCache } from './cache/build-cache.ts';
import { ClassicBuild } from './classic-build.ts';
import { ClassicOutput, shortId } from './classic-output.ts';
import type { StageState } from './compile/stage-state.ts';
import { openContext } from './context/build-context.ts';
import { Downloads } from './context/downloads.ts';
import { parseDockerfile } from './dockerfile/parser.ts';
import { imageConfigOf } from './export/image-config-of.ts';
import { type FileWorker, FileWorkers } from './files/file-worker.ts';
import { Solver } from './graph/solver.ts';
import { BuildNetwork } from './ops/build-network.ts';
import { ConfigOpRunner } from './ops/config-op.ts';
import { ExecOpRunner } from './ops/exec-op.ts';
import { FileOpRunner } from './ops/file-op.ts';
import { LayerWorkspace, STEP_SNAPSHOT_PREFIX } from './ops/layer-workspace.ts';
import { SourceOpRunner } from './ops/source-op.ts';

export interface BuilderPorts {
  readonly images: ImageSource;
  readonly puller: BasePuller;
  readonly snapshotter: Snapshotter;
  readonly mounter: Mounter;
  readonly steps: StepRunner;
  readonly sandboxes: Sandboxes;
  readonly database: Kysely<BuildTables>;
  readonly host: HostFacts;
}

export interface BuilderOptions {
  /** For the builder alone: contexts, mount points. Absolute; its file system holds what clients send. */
  readonly root: string;
  /** Builds beyond it wait for their turn. */
  readonly maxConcurrent?: number;
  readonly maxContextBytes?: number;
  readonly maxContextEntries?: number;
  /** After a build, the least recently used steps beyond it are forgotten. */
  readonly maxCacheBytes?: number;
}

const GIB = 1024 ** 3;
const DEFAULTS = {
  maxConcurrent: 8,
  maxContextBytes: 64 * GIB,
  maxContextEntries: 2_000_000,
  maxCacheBytes: 50 * GIB,
};

/** Builds images from Dockerfiles. One directory below the root belongs to each build, and goes with it. */
export class Builder {
  readonly #ports: BuilderPorts;
  readonly #options: Required<BuilderOptions>;
  readonly #cache: BuildCache;
  readonly #workers = new FileWorkers();
  readonly #turns: Semaphore;
  readonly #running = new Map<string, { controller: AbortController; done: Promise<unknown> }>();
  #trimming: Promise<void> = Promise.resolve();

  constructor(ports: BuilderPorts, options: BuilderOptions) {
    this.#ports = ports;
    this.#options = { ...DEFAULTS, ...options };
    this.#cache = new BuildCache(ports);
    this.#turns = new Semaphore(this.#options.maxConcurrent);
  }

  /**
   * Builds and tags an image; answers its ID. Throws `invalid` for what the Dockerfile or its context has wrong
   * (a `BuildFailure` when a command fails), and what pulls throw. An abort ends the running step at once. Whatever
   * happens, only finished steps stay, in the cache.
   */
  async build(
    request: BuildRequest,
    output: BuildOutput,
    options: { signal: AbortSignal; id?: string },
  ): Promise<Digest> {
    const id = randomBytes(32).toString('hex');
    const controller = new AbortController();
    const handle = options.id || id;
    const signal = AbortSignal.any([options.signal, controller.signal]);
    const done = this.#turns.run(() => this.#build(id, request, output, signal));
    this.#running.set(handle, { controller, done });
    try {
      return await done;
    } catch (error) {
      // Whatever an abort made fail, the reason is the abort.
      if (signal.aborted) throw canceled('Build cancelled');
      throw error;
    } finally {
      this.#running.delete(handle);
      this.#trim();
    }
  }

  /** Ends the build that was begun with this id; not finding it is no error. */
  cancel(id: string): void {
    this.#running.get(id)?.controller.abort();
  }

  /** The steps that it keeps. */
  get cache(): BuildCache {
    return this.#cache;
  }

  /** Removes what a killed worker left. Call once at start, after the image store's and the snapshotter's. */
  async reconcile(): Promise<void> {
    const { root } = this.#options;
    await mkdir(root, { recursive: true, mode: 0o700 });
    await this.#ports.steps.reconcile();
    for (const target of await this.#ports.mounter.mountsBelow(root))
      await this.#ports.mounter.unmount(target);
    for (const id of await readdir(root)) {
      await releaseAbandoned(this.#ports.images, id, join(root, id));
      await rm(join(root, id), { recursive: true, force: true });
    }
    for await (const { key, kind } of this.#ports.snapshotter.walk()) {
      if (kind === 'active' && key.startsWith(STEP_SNAPSHOT_PREFIX))
        await this.#ports.snapshotter.remove(key);
    }
    await this.#cache.reconcile();
  }

  /** Ends running builds and waits for them. */
  async stop(): Promise<void> {
    for (const { controller } of this.#running.values()) controller.abort();
    await Promise.allSettled([...this.#running.values()].map(({ done }) => done));
    await this.#trimming;
    await this.#workers.stop();
  }

  /** Keeps the cache within its limit, beside whatever goes on. */
  #trim(): void {
    this.#trimming = this.#trimming
      .then(() => this.#cache.prune({ keepBytes: this.#options.maxCacheBytes }))
      // What cannot be removed now is tried again after the next build.
      .then(
        () => undefined,
        () => undefined,
      );
  }

  async #build(id: string, request: BuildRequest, output: BuildOutput, signal: AbortSignal): Promise<Digest> {
    signal.throwIfAborted();
    const directory = join(this.#options.root, id);
    await mkdir(join(directory, 'mounts'), { recursive: true, mode: 0o700 });
    const files = this.#workers.acquire();
    const abort = () => void files.terminate();
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      return await this.#buildIn(directory, { id, request, output, signal, files });
    } finally {
      signal.removeEventListener('abort', abort);
      await this.#workers.release(files, !signal.aborted);
      await rm(directory, { recursive: true, force: true });
    }
  }

  async #buildIn(
    directory: string,
    build: { id: string; request: BuildRequest; output: BuildOutput; signal: AbortSignal; files: FileWorker },
  ): Promise<Digest> {
    const { id, request, output, signal, files } = build;
    const { maxContextBytes: maxBytes, maxContextEntries: maxEntries } = this.#options;
    const downloads = new Downloads({ directory, maxBytes, signal });
    const text = await openContext(
      request,
      { files, downloads },
      { directory, maxBytes, maxEntries, signal },
    );
    const dockerfile = parseDockerfile(text);

    await using images = new BaseImages(this.#ports, { buildId: id, directory, request, output, signal });
    await using network = new BuildNetwork(this.#ports, { id, directory, extraHosts: request.extraHosts });
    await using cache = this.#cache.forBuild();
    const workspace = new LayerWorkspace(this.#ports, { directory: join(directory, 'mounts') });
    const { steps, host } = this.#ports;
    const hostname = id.slice(0, 12);
    const hiddenEnv: string[] = [];
    const solver = new Solver({
      runners: {
        source: new SourceOpRunner({ downloads }),
        config: new ConfigOpRunner(),
        file: new FileOpRunner({ files, workspace }),
        exec: new ExecOpRunner(
          { workspace, network, steps, host },
          { directory, hostname, limits: request.limits, hiddenEnv, signal },
        ),
      },
      cache,
      noCache: request.noCache || !(await this.#mayUseCache(request)),
      signal,
    });
    const classic = new ClassicBuild({ images, solver }, dockerfile, request);
    hiddenEnv.push(...[...classic.args.proxies].map(([name, value]) => `${name}=${value}`));
    const state = await classic.run((total) => new ClassicOutput(output, total));
    signal.throwIfAborted();
    const image = await this.#export(state);
    await output.image(image);
    await output.stdout(`Successfully built ${shortId(image)}\n`);
    for (const tag of request.tags) {
      await this.#ports.images.tag(image, tag);
      await output.stdout(`Successfully tagged ${tag}\n`);
    }
    return image;
  }

  async #mayUseCache({ cacheFrom }: BuildRequest): Promise<boolean> {
    if (cacheFrom.length === 0) return true;
    const found = await Promise.allSettled(cacheFrom.map((name) => this.#ports.images.resolve(name)));
    return found.some(({ status }) => status === 'fulfilled');
  }

  /** A Dockerfile that does nothing to an image is that image. */
  async #export(state: StageState): Promise<Digest> {
    if (state.image) return state.image;
    if (state.history.length === 0) throw invalid('No image was generated. Is your Dockerfile empty?');
    return (await this.#ports.images.create(imageConfigOf(state))).id;
  }
}

/** The builder and all that belongs to it. Call `reconcile` before the first build, `stop` at the end. */
export function createBuilder(ports: BuilderPorts, options: BuilderOptions): Builder {
  return new Builder(ports, options);
}
