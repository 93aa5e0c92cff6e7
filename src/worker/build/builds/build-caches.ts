import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { CacheOption } from '../build-service.ts';
import type { CacheExports } from '../cache/portable/cache-exports.ts';
import type { CacheImports } from '../cache/portable/cache-imports.ts';
import { parseCacheExports } from '../cache/portable/export-options.ts';
import { inlineCache } from '../cache/portable/inline-cache.ts';
import type { SolvedResult } from '../export/exporter.ts';
import type { FrontendResult } from '../frontend/frontend.ts';
import { canonicalJson } from '../llb/canonical-json.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { ProgressSink } from '../solve/progress.ts';
import type { SolveJob } from '../solve/solve-job.ts';

export interface BuildCachesPorts {
  readonly imports: Pick<CacheImports, 'open'>;
  readonly exports: Pick<CacheExports, 'export'>;
}

/** A build whose turn has come. */
interface CachedBuild {
  readonly job: SolveJob;
  readonly session: BuildSession;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** The caches that one build is told of, and those that are exported of it. */
export class BuildCaches {
  readonly #ports: BuildCachesPorts;
  readonly #exports: readonly CacheOption[];
  readonly #imported = new Set<string>();

  constructor(ports: BuildCachesPorts, exports: readonly CacheOption[]) {
    this.#ports = ports;
    this.#exports = exports;
  }

  /** Throws `invalid` for exports that there are none of. */
  check(): void {
    parseCacheExports(this.#exports);
  }

  /** Lets the build take steps from there, from now on. Of what it was told of before it has heard. */
  import(options: readonly CacheOption[], { job, ...context }: CachedBuild): void {
    for (const option of options) {
      const key = canonicalJson([option.type, option.attrs]);
      if (this.#imported.has(key)) continue;
      this.#imported.add(key);
      job.import(this.#ports.imports.open(option, context));
    }
  }

  /** What goes into the images' own configurations, if that was asked for. */
  inline(result: FrontendResult, job: SolveJob): SolvedResult['inlineCache'] {
    if (!parseCacheExports(this.#exports).inline) return undefined;
    return async (name: string, image: readonly Digest[]) => {
      const edge = result.refs.get(name) ?? result.refs.get('');
      return edge && inlineCache(await job.exported([edge], () => true), image);
    };
  }

  /** Answers attributes for the client. Throws when one fails that is to matter. */
  async export(
    result: FrontendResult,
    refs: SolvedResult['refs'],
    { job, ...context }: CachedBuild,
  ): Promise<Readonly<Record<string, string>>> {
    const edges = [...result.refs.values()].filter((edge) => edge !== undefined);
    const responses: Readonly<Record<string, string>>[] = [];
    for (const [at, options] of parseCacheExports(this.#exports).exports.entries()) {
      const build = {
        ...context,
        refs: [...refs.values()],
        steps: (wanted: Parameters<SolveJob['exported']>[1]) => job.exported(edges, wanted),
      };
      responses.push(await this.#ports.exports.export(options, build, at));
    }
    return Object.assign({}, ...responses);
  }
}

const entries = z.array(z.object({ Type: z.string(), Attrs: z.record(z.string(), z.string()).nullish() }));

/** Caches that a frontend is told of in its options, as newer clients do, and as old ones did. Throws `invalid`. */
export function importsIn(options: Readonly<Record<string, string>>): CacheOption[] {
  const references = (options['cache-from'] ?? '').split(',').filter(Boolean);
  const old = references.map((ref) => ({ type: 'registry', attrs: { ref } }));
  const text = options['cache-imports'];
  if (!text) return old;
  try {
    const parsed = entries.parse(JSON.parse(text));
    return [...old, ...parsed.map(({ Type: type, Attrs }) => ({ type, attrs: Attrs ?? {} }))];
  } catch (cause) {
    throw invalid(`failed to unmarshal cache-imports: ${text.slice(0, 200)}`, { cause });
  }
}
