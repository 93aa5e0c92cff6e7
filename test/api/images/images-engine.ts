import { createReadStream } from 'node:fs';
import { utimes, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pino } from 'pino';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { busyboxArchive } from '#test/images/busybox-image.ts';
import { applyChanges } from '#worker/build/frontend/apply-changes.ts';
import type { EngineEvent } from '#worker/events/event-publisher.ts';
import { imagesRoutes } from '#worker/http/images-routes.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import { createImages, type Images, type ImagesOptions } from '#worker/images/images.ts';
import { OverlayWorld } from '../../contracts/snapshots/overlay-world.ts';

export interface Reply {
  readonly status: number;
  readonly body: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly json: any;
  /** The body's JSON lines. */
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly lines: any[];
}

/** The images' part of a worker, real down to the kernel, on a socket of its own. */
export class ImagesEngine implements AsyncDisposable {
  readonly world: OverlayWorld;
  readonly images: Images;
  readonly content: FilesystemContentStore;
  readonly events: EngineEvent[];
  readonly running: Set<string>;
  readonly socket: string;
  readonly #options: ImagesOptions;
  readonly #close: () => Promise<void>;

  private constructor(
    parts: Pick<ImagesEngine, 'world' | 'images' | 'content' | 'events' | 'running' | 'socket'>,
    options: ImagesOptions,
    close: () => Promise<void>,
  ) {
    this.world = parts.world;
    this.images = parts.images;
    this.content = parts.content;
    this.events = parts.events;
    this.running = parts.running;
    this.socket = parts.socket;
    this.#options = options;
    this.#close = close;
  }

  static async start(options: ImagesOptions = {}, folder?: string): Promise<ImagesEngine> {
    const world = await OverlayWorld.open(folder);
    const content = new FilesystemContentStore(join(world.folder, 'content'));
    const events: EngineEvent[] = [];
    const running = new Set<string>();
    const images = createImages(
      {
        ...{ database: world.database, content, applyChanges, snapshotter: world.snapshotter },
        ...{ applier: world.applier, comparer: world.comparer },
        events: { publish: (event) => void events.push(event) },
        isRunning: (id) => running.has(id),
      },
      { retry: { attempts: 3, delayMs: 5 }, ...options },
    );
    await images.reconcile();
    const router = createEngineRouter();
    imagesRoutes(router, images);
    const server = createEngineServer(router, pino({ level: 'silent' }));
    const socket = join(world.folder, 'docker.sock');
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const close = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await images.stop();
    };
    return new ImagesEngine({ world, images, content, events, running, socket }, options, close);
  }

  /** Everything again from what is on the disk. */
  async restart(): Promise<ImagesEngine> {
    await this.#close();
    await this.world.close();
    return ImagesEngine.start(this.#options, this.world.folder);
  }

  async loadBusybox(): Promise<string> {
    const [image] = await this.images.loader.load(createReadStream(await busyboxArchive()));
    return image!.id;
  }

  /** An image with one layer of our own making: `content` in `/file`. */
  async makeImage(name: string, content: string | Buffer, on?: string): Promise<string> {
    const { store } = this.images;
    const base = on ? await store.resolve(on) : undefined;
    const key = `making-${name}`;
    await this.world.snapshotter.prepare(key, base?.snapshot);
    const file = join(await this.world.snapshotter.directory(key), 'file');
    await writeFile(file, content);
    // A layer is the same whenever it is made.
    await utimes(file, 1_700_000_000, 1_700_000_000);
    const { diffId } = await store.commitLayer(key);
    const diff_ids = [...(base?.config.rootfs.diff_ids ?? []), diffId];
    const config = {
      os: 'linux',
      architecture: 'amd64',
      created: '2024-05-05T00:00:00Z',
      config: {},
      rootfs: { type: 'layers', diff_ids },
    };
    const image = await store.create(Buffer.from(JSON.stringify(config)), base && { parent: base.id });
    await store.tag(image.id, name);
    return image.id;
  }

  async call(
    method: string,
    path: string,
    options: { body?: Buffer | Readable; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const { body, ...rest } = options;
    const request = httpRequest({
      socketPath: this.socket,
      method,
      path: `/v1.51${path}`,
      agent: false,
      ...rest,
    });
    request.on('error', reject);
    request.on('response', async (response) => {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of response) chunks.push(chunk);
        resolve(reply(response.statusCode ?? 0, Buffer.concat(chunks)));
      } catch (error) {
        reject(error);
      }
    });
    if (body instanceof Readable) body.pipe(request);
    else request.end(body);
    return promise;
  }

  /** Pulls, and answers the lines; throws the error that the stream or the status says. */
  pull(
    name: string,
    query = '',
    options: { headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<string[]> {
    const { image, tag } = splitTag(name);
    return this.#transfer(
      `/images/create?fromImage=${encodeURIComponent(image)}&tag=${tag}${query}`,
      options,
    );
  }

  push(name: string, options: { headers?: Record<string, string> } = {}): Promise<string[]> {
    const { image, tag } = splitTag(name);
    return this.#transfer(`/images/${image}/push?tag=${tag}`, options);
  }

  async #transfer(
    path: string,
    options: { headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<string[]> {
    const reply = await this.call('POST', path, options);
    if (reply.status !== 200) throw new Error(reply.json.message);
    const { lines } = reply;
    const failed = lines.find((line) => line.errorDetail);
    if (failed) throw new Error(failed.errorDetail.message);
    return lines.flatMap((line) =>
      line.status ? [line.id ? `${line.id}: ${line.status}` : line.status] : [],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    await this.world[Symbol.asyncDispose]();
  }
}

function splitTag(name: string): { image: string; tag: string } {
  const colon = name.lastIndexOf(':');
  return colon > name.lastIndexOf('/')
    ? { image: name.slice(0, colon), tag: name.slice(colon + 1) }
    : { image: name, tag: 'latest' };
}

function reply(status: number, body: Buffer): Reply {
  const text = body.length < 1e6 ? body.toString('utf8') : '';
  return {
    status,
    body,
    get json() {
      return JSON.parse(text);
    },
    get lines() {
      return text.split('\r\n').flatMap((line) => (line ? [JSON.parse(line)] : []));
    },
  };
}
