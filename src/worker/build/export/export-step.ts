import { orDiskFull } from '#errors/disk-full.ts';
import { messageOf } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import type { ProgressSink } from '../solve/progress.ts';

/** An export as a client sees it: one vertex, and what is done in it one after the other. */
export class ExportStep {
  readonly #progress: Pick<ProgressSink, 'vertex' | 'status'>;
  readonly #digest: string;

  private constructor(progress: Pick<ProgressSink, 'vertex' | 'status'>, digest: string) {
    this.#progress = progress;
    this.#digest = digest;
  }

  /** Runs `task` as a vertex of this name. `id` tells exports of one build apart. */
  static async run<T>(
    progress: Pick<ProgressSink, 'vertex' | 'status'>,
    { name, id }: { name: string; id: number },
    task: (step: ExportStep) => Promise<T>,
  ): Promise<T> {
    const digest = digestOf(`export ${id} ${name} ${crypto.randomUUID()}`);
    const started = new Date();
    const vertex = { digest, inputs: [], name, cached: false, started };
    progress.vertex(vertex);
    try {
      const result = await task(new ExportStep(progress, digest));
      progress.vertex({ ...vertex, completed: new Date() });
      return result;
    } catch (thrown) {
      const error = orDiskFull(thrown);
      progress.vertex({ ...vertex, completed: new Date(), error: messageOf(error) });
      throw error;
    }
  }

  /** Something that takes time. `report` tells how far it is: bytes. `kind`: what else it is called. */
  async phase<T>(
    name: string,
    task: (report: (current: number, total?: number) => void) => Promise<T>,
    kind = name,
  ): Promise<T> {
    const started = new Date();
    const tell = (current: number, total: number, completed?: Date) =>
      this.#progress.status({
        vertex: this.#digest,
        id: name,
        name: kind,
        current,
        total,
        timestamp: new Date(),
        started,
        ...(completed && { completed }),
      });
    let last: [number, number] = [0, 0];
    tell(...last);
    const result = await task((current, total = 0) => {
      last = [current, total];
      tell(current, total);
    });
    tell(...last, new Date());
    return result;
  }

  done(name: string): Promise<void> {
    return this.phase(name, async () => undefined);
  }
}
