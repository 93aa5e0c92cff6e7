import type { Descriptor } from '#oci/descriptor.ts';
import type { ProgressLine } from '#worker/images/progress.ts';
import type { ProgressSink } from '../solve/progress.ts';

interface Phase {
  readonly id: string;
  readonly started: Date;
  readonly total: number;
  current: number;
}

/** Tells of layers that are brought in BuildKit's words: the blob's digest while it comes, then `extracting …`. */
export class PullProgress {
  readonly #descriptors: ReadonlyMap<string, Descriptor>;
  readonly #to: { readonly vertex: string; readonly sink: Pick<ProgressSink, 'status'> };
  readonly #phases = new Map<string, Phase>();

  constructor(
    layers: readonly { readonly descriptor: Descriptor }[],
    to: { vertex: string; sink: Pick<ProgressSink, 'status'> },
  ) {
    // As the puller names them.
    this.#descriptors = new Map(
      layers.map(({ descriptor }) => [descriptor.digest.slice(7, 19), descriptor] as const),
    );
    this.#to = to;
  }

  report({ id = '', status = '', progressDetail }: ProgressLine): void {
    const descriptor = this.#descriptors.get(id);
    if (!descriptor) return;
    const { digest, size } = descriptor;
    const extracting = `extracting ${digest}`;
    const current = progressDetail?.current ?? 0;
    if (status === 'Downloading') this.#tell(digest, current, size);
    if (status === 'Download complete') this.#tell(digest, size, size, true);
    if (status === 'Extracting') this.#extract(extracting);
    if (status === 'Pull complete') {
      this.#tell(digest, size, size, true);
      this.#extract(extracting, true);
    }
  }

  /** Of this BuildKit tells only that it goes on. */
  #extract(id: string, completed = false): void {
    this.#tell(id, 0, 0, completed, 'extracting');
  }

  #tell(id: string, current: number, total: number, completed = false, name = id): void {
    const known = this.#phases.get(id);
    const phase = known ?? { id, started: new Date(), total, current };
    this.#phases.set(id, phase);
    const { vertex, sink } = this.#to;
    const timestamp = new Date();
    sink.status({
      vertex,
      id,
      name,
      current,
      total,
      timestamp,
      started: phase.started,
      ...(completed && { completed: timestamp }),
    });
  }
}
