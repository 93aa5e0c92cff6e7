import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { pino } from 'pino';
import { openWorkerDatabase, type WorkerDatabase } from '#database/worker/open.ts';
import { Lab } from '#test/contracts/networks/lab.ts';
import { networksRoutes } from '#worker/http/networks-routes.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import { volumesRoutes } from '#worker/http/volumes-routes.ts';
import type { EndpointRequest } from '#worker/networks/sandbox.ts';
import { KernelMounter } from '#worker/snapshots/kernel-mounter.ts';
import { VolumeService } from '#worker/volumes/volume-service.ts';

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into what the wire says
  readonly body: any;
}

/** The Engine API's networks and volumes alone, on a real kernel, for the real docker command. */
export class NetworkEngine implements AsyncDisposable {
  readonly lab: Lab;
  readonly volumes: VolumeService;
  readonly #database: WorkerDatabase;
  readonly #server: Server;
  /** What was asked of containers, which are not here. */
  readonly asked: object[] = [];

  private constructor(lab: Lab, database: WorkerDatabase) {
    this.lab = lab;
    this.#database = database;
    this.volumes = new VolumeService({
      database,
      events: { publish: (event) => lab.events.push(event) },
      mounter: new KernelMounter(),
      options: { dataDir: lab.directory },
    });
    const router = createEngineRouter();
    router.get('/_ping', (ctx) => {
      ctx.body = 'OK';
    });
    networksRoutes(router, {
      networks: lab.networks,
      containers: {
        connect: async (container: string, endpoint: EndpointRequest) =>
          void this.asked.push({ container, endpoint }),
        disconnect: async (container, network, options) =>
          void this.asked.push({ container, network, ...options }),
      },
    });
    volumesRoutes(router, { volumes: this.volumes });
    this.#server = createEngineServer(router, pino({ level: 'silent' }));
  }

  static async open(): Promise<NetworkEngine> {
    const lab = await Lab.open();
    const engine = new NetworkEngine(lab, await openWorkerDatabase(':memory:'));
    await engine.volumes.reconcile([]);
    engine.#server.listen(0, '127.0.0.1');
    await once(engine.#server, 'listening');
    await mkdir(join(lab.directory, 'docker'));
    return engine;
  }

  async request(method: string, path: string, body?: object): Promise<Answer> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : undefined };
  }

  /** Runs the docker command; what it prints, both ways. */
  async docker(...args: string[]): Promise<string> {
    const child = spawn('docker', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: '/usr/bin:/bin',
        DOCKER_HOST: `tcp://127.0.0.1:${this.#port}`,
        DOCKER_CONFIG: join(this.lab.directory, 'docker'),
      },
    });
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => output.push(chunk));
    await once(child, 'close');
    return Buffer.concat(output).toString().trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await this.#database.destroy();
    await this.lab[Symbol.asyncDispose]();
  }

  get #port(): number {
    return (this.#server.address() as { port: number }).port;
  }
}
