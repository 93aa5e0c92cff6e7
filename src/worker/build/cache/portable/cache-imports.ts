import type { Registries } from '#distribution/registries.ts';
import { invalid, isKind, notFound } from '#errors/errors.ts';
import { digestOf, hexOf, isDigest } from '#oci/digest.ts';
import { parseImageReference, withDefaultTag } from '#oci/reference.ts';
import type { LayerRepository } from '#worker/images/layer-repository.ts';
import type { CacheOption } from '../../build-service.ts';
import { shownAsVertex } from '../../builds/shown-as-vertex.ts';
import { SessionContent } from '../../drivers/source/session-content.ts';
import { registryCredentials } from '../../export/registry-credentials.ts';
import { canonicalJson } from '../../llb/canonical-json.ts';
import type { BuildSession } from '../../session/build-session.ts';
import { oneOff } from '../../solve/one-off.ts';
import type { ProgressSink } from '../../solve/progress.ts';
import type { CacheSource } from './cache-source.ts';
import { ImportedCache } from './imported-cache.ts';
import { readCache } from './read-cache.ts';

export interface CacheImportsPorts {
  readonly registries: Registries;
  readonly layerRows: LayerRepository;
}

/** For whom caches are imported. */
export interface ImportContext {
  readonly session: BuildSession;
  readonly progress: Pick<ProgressSink, 'vertex' | 'status'>;
  readonly signal: AbortSignal;
}

/** Where a client's content store of this directory is found in its session. */
export function localStore(directory: string): string {
  return `local:${directory}`;
}

/** What `--cache-from` names: `type=registry,ref=…` (a cache, or an image with one in it) and `type=local,src=…`. */
export class CacheImports {
  readonly #ports: CacheImportsPorts;

  constructor(ports: CacheImportsPorts) {
    this.#ports = ports;
  }

  /** One that cannot be read is told in progress, and is empty. */
  open(option: CacheOption, context: ImportContext): ImportedCache {
    const name = `importing cache manifest from ${nameOf(option)}`;
    const digest = digestOf(`${name} ${crypto.randomUUID()}`);
    const told = { vertex: digest, sink: context.progress };
    const inferred = (type: string) => oneOff(told, `inferred cache manifest type: ${type}`, async () => {});
    const found = Promise.resolve().then(() => this.#source(option, context));
    return new ImportedCache(
      found.then(({ source }) => source),
      () =>
        shownAsVertex(context.progress, { digest, name }, async () => {
          const { source, reference } = await found;
          try {
            return await readCache(source, reference, { signal: context.signal, inferred });
          } catch (error) {
            throw isKind(error, 'not-found') ? unconfigured(option, error) : error;
          }
        }),
    );
  }

  async #source({ type, attrs }: CacheOption, context: ImportContext) {
    switch (type) {
      case 'registry':
        return this.#registry(attrs.ref ?? '', context);
      case 'local':
        return local(attrs, context);
      default:
        throw invalid(`unknown cache importer: ${type} (there are registry and local)`);
    }
  }

  async #registry(
    ref: string,
    { session }: ImportContext,
  ): Promise<{ source: CacheSource; reference: string }> {
    if (ref === '') throw invalid('missing ref');
    const reference = withDefaultTag(parseImageReference(ref));
    const credentials = registryCredentials(session, reference.domain);
    const fetcher = this.#ports.registries.fetchers(reference, credentials).at(-1)!;
    const { layerRows } = this.#ports;
    const source: CacheSource = {
      manifest: (wanted, options) => fetcher.manifest(wanted, options),
      smallBlob: (descriptor, limit, options) => fetcher.smallBlob(descriptor, limit, options),
      blob: (descriptor, options) => fetcher.blob(descriptor, options),
      hasBlob: async (digest, options) => {
        if (!(await fetcher.hasBlob(digest, options))) return false;
        // Whoever pushes it to that registry mounts it.
        await layerRows.recordOrigin(digest, reference.domain, reference.path);
        return true;
      },
    };
    return { source, reference: reference.digest ?? reference.tag! };
  }
}

function local({ digest = '', src = '' }: CacheOption['attrs'], { session }: ImportContext) {
  if (!isDigest(digest)) throw invalid('local cache importer requires explicit digest');
  if (src === '') throw invalid('local cache importer requires src');
  const content = new SessionContent(session, localStore(src));
  const source: CacheSource = {
    manifest: (wanted, options) => content.manifest(wanted, options),
    smallBlob: (descriptor, limit, options) => content.smallBlob(descriptor, limit, options),
    blob: (descriptor, options) => content.blob(descriptor, options),
    hasBlob: (wanted, options) => session.hasContent(localStore(src), wanted, options),
  };
  return { source, reference: digest as string };
}

/** In BuildKit's words. */
function unconfigured({ type, attrs }: CacheOption, cause: Error): Error {
  const what = `failed to configure ${type} cache importer`;
  return notFound(type === 'registry' ? `${what}: ${attrs.ref}: not found` : `${what}: ${cause.message}`, {
    cause,
  });
}

/** As BuildKit shows it. */
function nameOf(option: CacheOption): string {
  if (option.type === 'registry' && option.attrs.ref) return option.attrs.ref;
  const hash = BigInt(`0x${hexOf(digestOf(canonicalJson([option.type, option.attrs]))).slice(0, 16)}`);
  return `${option.type}:${hash}`;
}
