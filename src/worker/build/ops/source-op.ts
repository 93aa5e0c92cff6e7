import type { Downloads } from '../context/downloads.ts';
import type { SourceOp } from '../graph/op.ts';
import type { OpResult, OpRunner } from '../graph/op-runner.ts';

/** Images are resolved (and pulled) before their vertex exists, the context is received: only downloads are left to do. */
export class SourceOpRunner implements OpRunner<SourceOp> {
  readonly #downloads: Downloads;

  constructor(ports: { downloads: Downloads }) {
    this.#downloads = ports.downloads;
  }

  async *contentKeys(): AsyncGenerator<string> {
    // Sources are not kept in the build cache.
  }

  async run({ source }: SourceOp): Promise<OpResult> {
    switch (source.type) {
      case 'scratch':
        return { result: { kind: 'layers', diffIds: [] } };
      case 'image':
        return { result: { kind: 'layers', diffIds: source.diffIds } };
      case 'context':
        return { result: { kind: 'context' } };
      case 'http':
        return { result: { kind: 'download', ...(await this.#downloads.file(source.url, source.checksum)) } };
    }
  }
}
