import { KeyedLock } from '#async/keyed-lock.ts';
import { Semaphore } from '#async/semaphore.ts';
import { SharedFlight } from '#async/shared-flight.ts';
import type { ContentStore } from '#content/content-store.ts';
import type { Fetcher } from '#distribution/fetcher.ts';
import { isDiskFull } from '#errors/disk-full.ts';
import { canceled, invalid } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, Digester } from '#oci/digest.ts';
import { blobLocation, type LayerBlobs } from '../layer-blobs.ts';
import { expectDiffId, type LayerStore, type UnpackedLayer } from '../layer-store.ts';
import { type ProgressLine, ProgressMeter, type ProgressSink, statusLine } from '../progress.ts';

export interface LayerPullerPorts {
  readonly content: ContentStore;
  readonly layers: LayerStore;
  readonly blobs: LayerBlobs;
}

export interface WantedLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  readonly chainId: Digest;
}

interface Stack {
  readonly wanted: WantedLayer;
  readonly parent: Digest | undefined;
  /** Resolves when the layer below is in place. */
  readonly below: Promise<unknown>;
  readonly fetcher: Pick<Fetcher, 'blob'>;
}

/**
 * Brings layers: downloads a few at once, unpacks each while it streams in, and stacks them in order. The same
 * layer is brought once, however many pulls want it. What was downloaded stays when a pull ends early, and the
 * next one goes on from there.
 */
export class LayerPuller {
  readonly #ports: LayerPullerPorts;
  readonly #slots: Semaphore;
  readonly #flights = new SharedFlight<void, ProgressLine>();
  readonly #blobLocks = new KeyedLock();

  constructor(ports: LayerPullerPorts, options: { concurrency: number }) {
    this.#ports = ports;
    this.#slots = new Semaphore(options.concurrency);
  }

  /** `layers` bottom first; `base` is what they stand on. The caller has pinned them. */
  async pull(
    layers: readonly WantedLayer[],
    base: Digest | undefined,
    fetcher: Pick<Fetcher, 'blob'>,
    options: { signal: AbortSignal; progress: ProgressSink },
  ): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([options.signal, failed.signal]);
    let parent = base;
    let below: Promise<unknown> = Promise.resolve();
    const all: Promise<void>[] = [];
    for (const wanted of layers) {
      const stack: Stack = { wanted, parent, below, fetcher };
      const pulled = this.#flights.run(wanted.chainId, (flight) => this.#bring(stack, flight), {
        signal,
        watch: options.progress,
      });
      // The first failure ends the others; it is the one that is told.
      all.push(
        pulled.catch((error: unknown) => {
          failed.abort();
          throw error;
        }),
      );
      below = pulled;
      parent = wanted.chainId;
    }
    const results = await Promise.allSettled(all);
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    if (failures.length === 0) return;
    // What the others had begun is cleared away by then.
    await Promise.all(layers.map(({ chainId }) => this.#flights.abandoned(chainId)));
    throw failures.find((error) => error?.kind !== 'canceled') ?? failures[0];
  }

  async #bring(
    stack: Stack,
    flight: { signal: AbortSignal; report: (line: ProgressLine) => void },
  ): Promise<void> {
    const { descriptor, diffId } = stack.wanted;
    const id = descriptor.digest.slice('sha256:'.length).slice(0, 12);
    const report = (status: string) => flight.report(statusLine(id, status));
    stack.below.catch(() => undefined);
    report('Waiting');
    const unpacked = await this.#slots.run(() =>
      // Two chains may hold the same blob; the second one finds it in the content store.
      this.#blobLocks.run(descriptor.digest, () => this.#unpack(stack, { ...flight, id })),
    );
    try {
      expectDiffId(unpacked, diffId);
      await stack.below;
      await this.#ports.layers.stack(unpacked, stack.parent);
    } catch (error) {
      await this.#ports.layers.discard(unpacked);
      throw error;
    }
    await this.#ports.blobs.record({
      digest: descriptor.digest,
      diffId,
      mediaType: descriptor.mediaType,
      size: descriptor.size,
      location: blobLocation(descriptor.digest),
    });
    report('Pull complete');
  }

  async #unpack(
    { wanted: { descriptor }, fetcher }: Stack,
    flight: { signal: AbortSignal; report: (line: ProgressLine) => void; id: string },
  ): Promise<UnpackedLayer> {
    if (flight.signal.aborted) throw canceled();
    const location = blobLocation(descriptor.digest);
    const stored = await this.#ports.content.stat(location);
    const ended = new AbortController();
    const signal = AbortSignal.any([flight.signal, ended.signal]);
    const bytes = stored
      ? extracting(await this.#ports.content.open(location), descriptor, flight)
      : this.#download(descriptor, fetcher, { ...flight, signal });
    let full = false;
    try {
      return await this.#ports.layers.unpack(bytes, { signal });
    } catch (error) {
      full = isDiskFull(error);
      throw error;
    } finally {
      // However it ended, the blob's writer is closed before anybody else may want it. Why it failed is known by then.
      ended.abort();
      await bytes.return().catch(() => undefined);
      // On a full disk nothing is kept for another attempt, which needs the room.
      if (full && !stored) await this.#ports.content.delete(location);
    }
  }

  /** Yields a blob's bytes once they are written: first those of an earlier attempt, then the network's. */
  async *#download(
    descriptor: Descriptor,
    fetcher: Pick<Fetcher, 'blob'>,
    flight: { signal: AbortSignal; report: (line: ProgressLine) => void; id: string },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { id, report, signal } = flight;
    await using writer = await this.#ports.content.writer(blobLocation(descriptor.digest));
    const digester = new Digester();
    const offset = writer.offset;
    const meter = new ProgressMeter(report, {
      id,
      status: 'Downloading',
      total: descriptor.size,
      current: offset,
    });
    for await (const chunk of writer.read()) {
      digester.update(chunk);
      yield chunk;
    }
    try {
      for await (const chunk of fetcher.blob(descriptor, { offset, signal })) {
        digester.update(chunk);
        await writer.write(chunk);
        meter.add(chunk.length);
        yield chunk;
      }
    } catch (error) {
      if (isDiskFull(error)) await writer.abort();
      throw error;
    }
    report(statusLine(id, 'Verifying Checksum'));
    if (digester.digest() !== descriptor.digest) {
      await writer.abort();
      throw invalid(`filesystem layer verification failed for digest ${descriptor.digest}`);
    }
    await writer.commit();
    report(statusLine(id, 'Download complete'));
    // The thread is nearly through by now: it worked on what came before.
    const done = new ProgressMeter(report, { id, status: 'Extracting', total: descriptor.size });
    done.add(descriptor.size);
  }
}

async function* extracting(
  source: AsyncIterable<Uint8Array>,
  descriptor: Descriptor,
  { id, report }: { id: string; report: (line: ProgressLine) => void },
): AsyncGenerator<Uint8Array, void, undefined> {
  report(statusLine(id, 'Download complete'));
  const meter = new ProgressMeter(report, { id, status: 'Extracting', total: descriptor.size });
  for await (const chunk of source) {
    yield chunk;
    meter.add(chunk.length);
  }
}
