import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { createWorkerBuilds } from '#cli/worker/builds.ts';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { openWorkerDatabase } from '#database/worker/open.ts';
import { notFound } from '#errors/errors.ts';
import { NO_METRICS } from '#observability/metrics.ts';
import type { TarEntry } from '#tar/entry.ts';
import { type TarInput, writeTar } from '#tar/writer.ts';
import { busyboxArchive } from '#test/images/busybox-image.ts';
import { prune } from '#worker/build/cache/prune.ts';
import type { BasePuller } from '#worker/build/classic/classic-images.ts';
import { applyChanges } from '#worker/build/frontend/apply-changes.ts';
import { buildRoutes } from '#worker/http/build-routes.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import { createImages, type Images } from '#worker/images/images.ts';
import type { Sandboxes, SandboxRequest } from '#worker/networks/sandbox.ts';
import { probeHost } from '#worker/runtime/host/probe-host.ts';
import { RuncStepRunner } from '#worker/runtime/step/runc-step-runner.ts';
import { KernelMounter } from '#worker/snapshots/kernel-mounter.ts';
import { OverlayDiffApplier } from '#worker/snapshots/overlay-diff-applier.ts';
import { OverlayDiffComparer } from '#worker/snapshots/overlay-diff-comparer.ts';
import { OverlaySnapshotter } from '#worker/snapshots/overlay-snapshotter.ts';
import { TreePool } from '#worker/snapshots/tree/tree-pool.ts';

export interface BuildWorker extends AsyncDisposable {
  readonly builds: Awaited<ReturnType<typeof createWorkerBuilds>>;
  /** Forgets all that builds have kept. */
  prune(): Promise<void>;
  readonly images: Images;
  readonly root: string;
  readonly port: number;
  readonly snapshotter: OverlaySnapshotter;
  /** Sandboxes that are attached now. */
  readonly sandboxes: Set<string>;
  build(
    files: Files,
    query?: Record<string, string | string[]>,
    options?: BuildOptions,
  ): Promise<BuildAnswer>;
  /** Runs a shell command on an image, by building on it. */
  sh(image: string, command: string): Promise<string>;
}

interface BuildOptions {
  readonly signal?: AbortSignal;
  readonly onLine?: (line: Line) => void;
  readonly body?: AsyncIterable<Uint8Array>;
  readonly headers?: Record<string, string>;
}

export interface Line {
  readonly stream?: string;
  readonly aux?: { readonly ID: string };
  readonly error?: string;
  readonly errorDetail?: { readonly code?: number; readonly message: string };
}

export interface BuildAnswer {
  readonly status: number;
  readonly lines: readonly Line[];
  /** All `stream` text. */
  readonly output: string;
  readonly error: string | undefined;
  readonly id: string | undefined;
}

/** A path's content, or an entry of its own. */
export type Files = Readonly<Record<string, string | Uint8Array | Partial<TarEntry>>>;

const CONFIG = {
  parallelism: 2,
  maxConcurrent: 8,
  refusedNetworks: [],
  clientTimeout: 0,
  entitlements: [],
  steps: { memory: null, cpus: null, pids: null },
  cacheRepository: null,
  cacheCredentials: null,
  cache: { reserved: 0, maxUsed: 0, minFree: 0, maxUnused: 0 },
  history: { maxBuilds: 100, maxAge: 0, maxLogs: 2 ** 30 },
};

/** Builds over real snapshots, mounts and runc, with `busybox` loaded; steps have the loopback network only. */
export async function startBuildWorker(): Promise<BuildWorker> {
  const root = await mkdtemp(join(tmpdir(), 'slipway-build-'));
  const database = await openWorkerDatabase(':memory:');
  const trees = new TreePool();
  const snapshotter = new OverlaySnapshotter({ database, trees }, { root: join(root, 'snapshots') });
  const mounter = new KernelMounter();
  const applier = new OverlayDiffApplier({ snapshotter, trees });
  const comparer = new OverlayDiffComparer({ snapshotter, trees });
  const content = new MemoryContentStore();
  const images = createImages({
    database,
    content,
    snapshotter,
    applier,
    comparer,
    events: { publish: () => {} },
    applyChanges,
    isRunning: () => false,
  });
  const host = await probeHost();
  const sandboxes = new LoopbackSandboxes();
  const steps = new RuncStepRunner({ stateDir: join(root, 'steps'), runc: host.tools.runc.path! });
  const puller: BasePuller = {
    pull: async (reference) => {
      throw notFound(`pull access denied for ${reference}, repository does not exist`);
    },
  };
  const closing = new AsyncDisposableStack();
  const log = pino({ level: process.env.TEST_LOG ?? 'silent' });
  const builds = await createWorkerBuilds(
    { images, puller, snapshotter, mounter, steps, sandboxes, database, host, trees, metrics: NO_METRICS },
    { id: 'test', root: join(root, 'builds'), log, config: CONFIG, keepAliveMs: 0 },
    closing,
  );
  await snapshotter.reconcile();
  await images.reconcile();
  await builds.reconcile();
  await images.loader.load(createReadStream(await busyboxArchive()));
  const router = createEngineRouter();
  buildRoutes(router, builds);
  const server = createEngineServer(router, log);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  const build: BuildWorker['build'] = (files, query = {}, request = {}) =>
    post(port, `/v1.50/build?${search(query)}`, request.body ?? contextOf(files), request);
  return {
    builds,
    prune: async () => void (await prune(builds.kept.contents, {}, builds.kept.freeBytes)),
    images,
    root,
    port,
    snapshotter,
    sandboxes: sandboxes.attached,
    build,
    sh: async (image, command) => {
      const dockerfile = `FROM ${image}\nRUN ["/bin/sh", "-c", ${JSON.stringify(`${command}; echo "-- end"`)}]\n`;
      const { output, error } = await build({ Dockerfile: dockerfile }, { nocache: '1' });
      if (error) throw new Error(error);
      return /Running in [0-9a-f]{12}\n([\s\S]*)-- end\n/.exec(output)![1]!;
    },
    async [Symbol.asyncDispose]() {
      await close(server);
      await closing.disposeAsync();
      const kept = await Promise.all(builds.kept.contents.map((part) => part.usage()));
      const used = kept.flat().filter(({ type, inUse }) => type === 'source.local' && inUse);
      await snapshotter.settled();
      await trees[Symbol.asyncDispose]();
      await database.destroy();
      const left = [...(await mounter.mountsBelow(root)), ...used.map(({ id }) => id)];
      for (const target of await mounter.mountsBelow(root)) await mounter.unmount(target);
      await rm(root, { recursive: true, force: true });
      if (left.length > 0) throw new Error(`a build left ${left.join(', ')}`);
    },
  };
}

/** A context as the CLI sends it. */
export async function* contextOf(files: Files): AsyncGenerator<Uint8Array> {
  const inputs: TarInput[] = Object.entries(files).map(([path, value]) => {
    const content =
      typeof value === 'string' || value instanceof Uint8Array ? Buffer.from(value as string) : undefined;
    const entry: TarEntry = {
      path,
      type: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: content?.length ?? 0,
      mtime: 1_700_000_000,
      ...(content ? {} : (value as Partial<TarEntry>)),
    };
    return { entry, ...(content && { body: [content] }) };
  });
  yield* writeTar(inputs);
}

export function post(
  port: number,
  path: string,
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: BuildOptions = {},
): Promise<BuildAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/x-tar', ...options.headers };
    const req = request({
      port,
      path,
      method: 'POST',
      headers,
      ...(options.signal && { signal: options.signal }),
    });
    req.on('error', reject);
    req.on('response', async (res) => {
      try {
        const lines: Line[] = [];
        let rest = '';
        if (res.statusCode !== 200) {
          const { message } = JSON.parse(await text(res));
          resolve({ status: res.statusCode!, lines, output: '', error: message, id: undefined });
          return;
        }
        res.setEncoding('utf8');
        for await (const chunk of res) {
          const parts = (rest + chunk).split('\r\n');
          rest = parts.pop()!;
          for (const part of parts) {
            const line = JSON.parse(part) as Line;
            lines.push(line);
            options.onLine?.(line);
          }
        }
        resolve({
          status: 200,
          lines,
          output: lines.map((line) => line.stream ?? '').join(''),
          error: lines.find((line) => line.error)?.error,
          id: lines.find((line) => line.aux)?.aux?.ID,
        });
      } catch (error) {
        reject(error);
      }
    });
    void (async () => {
      for await (const chunk of body) if (!req.destroyed) req.write(chunk);
      req.end();
    })().catch(reject);
  });
}

function search(query: Record<string, string | string[]>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const one of [value].flat()) params.append(name, one);
  return params.toString();
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

class LoopbackSandboxes implements Sandboxes {
  readonly attached = new Set<string>();

  async attach({ containerId, hostname, mode }: SandboxRequest) {
    this.attached.add(containerId);
    return {
      containerId,
      namespace: mode === 'host' ? 'host' : 'new',
      endpoints: [],
      ports: [],
      resolvConf: 'nameserver 127.0.0.53\n',
      hosts: `127.0.0.1 localhost ${hostname}\n`,
    };
  }

  async detach(containerId: string) {
    this.attached.delete(containerId);
  }

  async get() {
    return undefined;
  }

  async connect(): Promise<never> {
    throw new Error('not used by builds');
  }

  async disconnect(): Promise<never> {
    throw new Error('not used by builds');
  }

  async rename() {}
}
