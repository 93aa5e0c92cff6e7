import { END_OF_ARCHIVE } from '#tar/writer.ts';
import type { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import type { ExportedTree } from '../session/build-session.ts';
import { ExportStep } from './export-step.ts';
import { readingTrees } from './exported-trees.ts';
import type { ExportContext, Exporter, SolvedResult } from './exporter.ts';
import { exportedFiles } from './files-options.ts';
import type { RefMounts } from './ref-mounts.ts';

/** `type=tar`: the files themselves, in a tar that is sent to the client. */
export class TarExporter implements Exporter {
  readonly #ports: { readonly mounts: RefMounts; readonly trees: TreePool };

  constructor(ports: { mounts: RefMounts; trees: TreePool }) {
    this.#ports = ports;
  }

  export(result: SolvedResult, context: ExportContext): Promise<Record<string, string>> {
    // Platforms are always apart in a tar.
    const { 'platform-split': _, ...attrs } = context.attrs;
    const files = exportedFiles(result, attrs);
    const { progress, signal, session, exporterId: id } = context;
    return ExportStep.run(progress, { name: 'exporting to client tarball', id }, async (step) => {
      const send = (trees: readonly ExportedTree[]) =>
        step.phase('sending tarball', async () => {
          await using target = await session.sendFile(id, {}, { signal });
          for await (const chunk of this.#packed(trees, files.mtime)) {
            signal.throwIfAborted();
            await target.write(chunk);
          }
          await target.finish();
        });
      await readingTrees(this.#ports.mounts, files, send, { signal });
      return {};
    });
  }

  /** One archive of all of them, one after the other. */
  async *#packed(
    trees: readonly ExportedTree[],
    mtime: Date | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const seconds = mtime && Math.floor(mtime.getTime() / 1000);
    for (const { root } of trees) {
      const task = { op: 'pack', root, ...(seconds !== undefined && { mtime: seconds }) } as const;
      yield* withoutEnd(this.#ports.trees.stream(task));
    }
    yield END_OF_ARCHIVE;
  }
}

/** A tar up to its mark of the end, which is all that its last bytes are. */
async function* withoutEnd(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let held: Uint8Array = Buffer.alloc(0);
  for await (const chunk of tar) {
    const bytes = held.length > 0 ? Buffer.concat([held, chunk]) : chunk;
    const kept = Math.max(0, bytes.length - END_OF_ARCHIVE.length);
    if (kept > 0) yield bytes.subarray(0, kept);
    // A copy: the chunk's memory may be somebody else's by the next one.
    held = Buffer.from(bytes.subarray(kept));
  }
}
