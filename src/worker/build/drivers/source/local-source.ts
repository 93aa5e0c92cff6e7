import { randomUUID } from 'node:crypto';
import { invalid } from '#errors/errors.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { CacheMap, OpContext } from '../../solve/op-driver.ts';
import type { Ref } from '../../solve/ref.ts';
import { locationOf, type Source } from './source-driver.ts';

/** Directories of the client's: `local://context`. */
export class LocalSource implements Source {
  readonly schemes = ['local'];

  async cacheMap(): Promise<CacheMap> {
    return { digest: `local:${randomUUID()}`, opaque: true, inputs: [] };
  }

  async run(vertex: Vertex<SourceOp>, { session, signal, progress, resources }: OpContext): Promise<Ref> {
    const { attrs } = vertex.op;
    const sharedKeyHint = attrs['local.sharedkeyhint'];
    const other = attrs['local.session'];
    const directory = await session.directory(
      {
        name: locationOf(vertex),
        includePatterns: listOf(attrs, 'local.includepattern'),
        excludePatterns: listOf(attrs, 'local.excludepatterns'),
        followPaths: listOf(attrs, 'local.followpaths'),
        ...(sharedKeyHint && { sharedKeyHint }),
        ...(other && { session: other }),
        everything: attrs['local.differ'] === 'none',
        progress: { vertex: vertex.digest, sink: progress },
      },
      { signal },
    );
    const { root, id, passing = false, changes } = resources.use(directory);
    return { kind: 'directory', root, id, bare: true, passing, ...(changes && { changes }) };
  }
}

/** Lists of strings travel as JSON. Throws `invalid`. */
function listOf(attrs: Readonly<Record<string, string>>, name: string): string[] {
  const text = attrs[name];
  if (!text) return [];
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
  } catch {
    // Told below.
  }
  throw invalid(`invalid ${name}: ${text.slice(0, 200)}`);
}
