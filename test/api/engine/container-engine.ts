import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { openWorkerDatabase } from '#database/worker/open.ts';
import { busyboxArchive } from '#test/images/busybox-image.ts';
import { applyChanges } from '#worker/build/frontend/apply-changes.ts';
import { type Containers, createContainers } from '#worker/containers/containers.ts';
import { EventBus } from '#worker/events/event-bus.ts';
import { containersRoutes } from '#worker/http/containers-routes.ts';
import { eventsRoutes } from '#worker/http/events-routes.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import { createImages, type Images } from '#worker/images/images.ts';
import { NetworkService } from '#worker/networks/network-service.ts';
import { ConmonRuntime } from '#worker/runtime/conmon/conmon-runtime.ts';
import { listProcesses } from '#worker/runtime/host/list-processes.ts';
import { probeHost } from '#worker/runtime/host/probe-host.ts';
import { createSpec } from '#worker/runtime/spec/create-spec.ts';
import { resourcesFor } from '#worker/runtime/spec/resources.ts';
import { KernelMounter } from '#worker/snapshots/kernel-mounter.ts';
import { OverlayDiffApplier } from '#worker/snapshots/overlay-diff-applier.ts';
import { OverlayDiffComparer } from '#worker/snapshots/overlay-diff-comparer.ts';
import { OverlaySnapshotter } from '#worker/snapshots/overlay-snapshotter.ts';
import { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import { VolumeService } from '#worker/volumes/volume-service.ts';

/** A reply of the Engine API, read to its end. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly json: any;
}

/** The containers' part of a worker, real down to the kernel, on a socket of its own; with the image `busybox`. */
export class ContainerEngine implements AsyncDisposable {
  readonly directory: string;
  readonly #bridge: string;
  #parts!: Parts;

  private constructor(directory: string) {
    this.directory = directory;
    this.#bridge = `sw${randomBytes(4).toString('hex')}`;
  }

  static async start(): Promise<ContainerEngine> {
    const engine = new ContainerEngine(await mkdtemp(join(tmpdir(), 'slipway-')));
    await engine.#open();
    await engine.images.loader.load(createReadStream(await busyboxArchive()));
    return engine;
  }

  get socket(): string {
    return join(this.directory, 'docker.sock');
  }

  get images(): Images {
    return this.#parts.images;
  }

  get containers(): Containers {
    return this.#parts.containers;
  }

  /** As a new process would begin: nothing is kept but what is on disk and in the kernel. */
  async restart(between: () => Promise<void> = async () => undefined): Promise<void> {
    await this.#close();
    await between();
    await this.#open();
  }

  request(method: string, path: string, body?: unknown): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const request = httpRequest(
      {
        socketPath: this.socket,
        method,
        path: `/v1.51${path}`,
        headers: payload
          ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(payload) }
          : {},
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: response.statusCode!, headers: response.headers, text, json: parse(text) });
        });
      },
    );
    request.on('error', reject);
    request.end(payload);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { containers } = this.#parts;
    for (const container of containers.store.list()) {
      await containers.removal.remove(container.id, { force: true, volumes: true }).catch(() => undefined);
    }
    await this.#close();
    await rm(this.directory, { recursive: true, force: true });
  }

  async #open(): Promise<void> {
    const { directory } = this;
    const log = pino({ level: process.env.SLIPWAY_TEST_LOG ?? 'silent' });
    const host = await probeHost();
    const database = await openWorkerDatabase(join(directory, 'worker.db'));
    const events = new EventBus();
    const trees = new TreePool();
    const snapshotter = new OverlaySnapshotter(
      { database: database as never, trees },
      { root: join(directory, 'snapshots') },
    );
    const mounter = new KernelMounter();
    const applier = new OverlayDiffApplier({ snapshotter, trees });
    const comparer = new OverlayDiffComparer({ snapshotter, trees });
    const content = new FilesystemContentStore(join(directory, 'content'));
    const images = createImages({
      database,
      content,
      snapshotter,
      applier,
      comparer,
      events,
      applyChanges,
      isRunning: (id) => this.#parts.containers.store.find(id)?.running ?? false,
    });
    const subnet = subnetOf(this.#bridge);
    const networks = new NetworkService({
      database,
      events,
      options: {
        runDir: directory,
        defaultBridge: { name: this.#bridge, subnet: `${subnet}.0.0/24` },
        addressPools: [{ base: `${subnet}.128.0/17`, size: 24 }],
      },
    });
    const volumes = new VolumeService({ database, events, mounter, options: { dataDir: directory } });
    const { runc, conmon, socat } = host.tools;
    const runtime = new ConmonRuntime({
      stateDir: join(directory, 'run'),
      runc: runc.path!,
      conmon: conmon.path!,
      socat: socat.path!,
    });
    const containers = createContainers(
      {
        database,
        runtime,
        images: images.store,
        snapshotter,
        mounter,
        applier,
        comparer,
        sandboxes: networks,
        volumes,
        events,
        log,
        createSpec: (request) => createSpec(request, host),
        resources: (request) => resourcesFor(request, host),
        listProcesses,
        applyChanges,
      },
      {
        root: join(directory, 'containers'),
        cgroupVersion: host.cgroup.version === 'v2' ? '2' : '1',
        hostname: hostname(),
      },
    );
    await snapshotter.reconcile();
    await images.reconcile();
    const live = await containers.load();
    await volumes.reconcile(containers.store.list().map(({ id }) => id));
    await networks.reconcile(live);
    await containers.reconcile();

    const router = createEngineRouter();
    containersRoutes(router, { containers, images: images.store });
    eventsRoutes(router, { events });
    router.get('/_ping', (ctx) => {
      ctx.body = 'OK';
    });
    const server = createEngineServer(router, log);
    await rm(this.socket, { force: true });
    await new Promise<void>((resolve) => server.listen(this.socket, resolve));
    this.#parts = { server, containers, images, networks, runtime, database };
  }

  async #close(): Promise<void> {
    const { server, containers, networks, runtime, database } = this.#parts;
    server.closeAllConnections();
    server.close();
    await containers.stop();
    await networks.stop();
    runtime[Symbol.dispose]();
    await database.destroy();
  }
}

interface Parts {
  readonly server: Server;
  readonly containers: Containers;
  readonly images: Images;
  readonly networks: NetworkService;
  readonly runtime: ConmonRuntime;
  readonly database: Awaited<ReturnType<typeof openWorkerDatabase>>;
}

/** A block of 10.0.0.0/8 of this engine's own: engines of several tests run on one kernel. */
function subnetOf(bridge: string): string {
  return `10.${100 + (Number.parseInt(bridge.slice(-6), 16) % 120)}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
