import type { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import { ExportStep } from './export-step.ts';
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
    const { refs, mtime } = exportedFiles(result, context.attrs);
    const { progress, signal, session, exporterId: id } = context;
    const seconds = mtime && Math.floor(mtime.getTime() / 1000);
    return ExportStep.run(progress, { name: 'exporting to client tarball', id }, async (step) => {
      const send = (root: string) =>
        step.phase('sending tarball', async (report) => {
          await using target = await session.sendFile(id, {}, { signal });
          let sent = 0;
          const task = { op: 'pack', root, ...(seconds !== undefined && { mtime: seconds }) } as const;
          for await (const chunk of this.#ports.trees.stream(task)) {
            signal.throwIfAborted();
            await target.write(chunk);
            sent += chunk.length;
            report(sent);
          }
          await target.finish();
        });
      await this.#ports.mounts.reading(refs, send, { signal });
      return {};
    });
  }
}
