import { ExportStep } from './export-step.ts';
import { readingTrees } from './exported-trees.ts';
import type { ExportContext, Exporter, SolvedResult } from './exporter.ts';
import { exportedFiles } from './files-options.ts';
import type { RefMounts } from './ref-mounts.ts';

/** `type=local`: the files themselves, into a directory of the client's. */
export class LocalExporter implements Exporter {
  readonly #mounts: RefMounts;

  constructor(ports: { mounts: RefMounts }) {
    this.#mounts = ports.mounts;
  }

  export(result: SolvedResult, context: ExportContext): Promise<Record<string, string>> {
    const files = exportedFiles(result, context.attrs);
    const { mtime } = files;
    const { progress, signal, session, exporterId: id } = context;
    return ExportStep.run(progress, { name: 'exporting to client directory', id }, async (step) => {
      await readingTrees(
        this.#mounts,
        files,
        (trees) =>
          step.phase(
            'copying files',
            (report) =>
              session.sendDirectory(id, trees, { signal, progress: report, ...(mtime && { mtime }) }),
            'transferring',
          ),
        { signal },
      );
      return {};
    });
  }
}
