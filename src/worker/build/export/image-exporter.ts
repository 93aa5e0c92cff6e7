import { invalid } from '#errors/errors.ts';
import { chainIds } from '#oci/chain-id.ts';
import { formatPlatform, hostPlatform, platformMatches } from '#oci/platform.ts';
import { familiarReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import { fullRepository } from '#worker/images/image-name.ts';
import type { ImageRepository, StoredManifest } from '#worker/images/image-repository.ts';
import type { ImageStore } from '#worker/images/image-store.ts';
import type { LayerStore } from '#worker/images/layer-store.ts';
import type { ImageStatements, StatementRepository } from '#worker/images/statement-repository.ts';
import { booleanAttr } from './export-attrs.ts';
import { ExportStep } from './export-step.ts';
import type { ExportedDocument } from './exported-document.ts';
import type { ExportContext, Exporter, SolvedResult } from './exporter.ts';
import { parseImageOptions } from './image-options.ts';
import type { ImagePush } from './image-push.ts';
import type { ExportedImage, ExportedResult, ImageWriter } from './image-writer.ts';
import type { LocalLayers } from './layer-export.ts';
import { resultPlatforms, withMetadata, withoutInlineOnly } from './result-platforms.ts';

export interface ImageExporterPorts {
  readonly writer: ImageWriter;
  readonly push: ImagePush;
  readonly local: Pick<LocalLayers, 'require'>;
  readonly layers: LayerStore;
  readonly store: ImageStore;
  readonly images: ImageRepository;
  readonly statements: Pick<StatementRepository, 'add'>;
}

/**
 * `type=image`, and the docker driver's `moby`: puts the image that this machine can run into the engine's store,
 * tags it, and pushes it when asked to.
 */
export class ImageExporter implements Exporter {
  readonly #ports: ImageExporterPorts;

  constructor(ports: ImageExporterPorts) {
    this.#ports = ports;
  }

  export(solved: SolvedResult, context: ExportContext): Promise<Record<string, string>> {
    const options = parseImageOptions(context.attrs);
    const rest = { ...options.rest };
    const flag = (name: string, fallback: boolean) => {
      const { [name]: value } = rest;
      delete rest[name];
      return value === undefined ? fallback : booleanAttr(name, value);
    };
    const push = flag('push', false);
    const byDigest = flag('push-by-digest', false);
    const store = flag('store', true) && !byDigest;
    const unpack = flag('unpack', false);
    const canonical = flag('name-canonical', false);
    const { 'dangling-name-prefix': prefix = '' } = rest;
    delete rest['dangling-name-prefix'];
    const onlyNameless = flag('danging-name-empty-only', false);
    const said = withMetadata(solved, rest);
    const result = (options.inlineAttestations ?? true) ? said : withoutInlineOnly(said);
    const written = namesOf(options.names, result);
    const names = written.map((name) => withDefaultTag(parseImageReference(name)));
    if (push && names.length === 0) throw invalid('tag is needed when pushing to registry');
    for (const name of push && byDigest ? written : []) {
      if (parseImageReference(name).tag !== undefined)
        throw invalid(`can't push tagged ref ${name} by digest`);
    }
    const { progress, signal, session, exporterId: id } = context;
    return ExportStep.run(progress, { name: 'exporting to image', id }, async (step) => {
      const pushedTo = push ? names[0]?.domain : undefined;
      const writing = { ...options, ociTypes: options.ociTypes ?? true, pushedTo };
      const exported = await this.#ports.writer.write(push ? result : keptOf(result, writing), writing, {
        step,
        signal,
      });
      const full = names.map((name) => `${fullRepository(name)}${name.tag ? `:${name.tag}` : ''}`);
      const dangling = prefix !== '' && (!onlyNameless || names.length === 0);
      if (store) {
        await this.#store(exported, full, { unpack, step, signal });
        const repositories = canonical ? names.map(fullRepository) : [];
        if (dangling) repositories.push(fullRepository(parseImageReference(prefix)));
        for (const repository of repositories) await this.#remember(exported, repository);
      }
      if (push) {
        for (const name of full) {
          await this.#ports.push.push(name, exported, { byDigest }, { session, step, signal });
        }
        for (const name of names) await this.#remember(exported, fullRepository(name));
      }
      context.exported?.(exported);
      const answer = responseOf(
        exported,
        dangling ? [...written, `${prefix}@${exported.root.digest}`] : written,
      );
      const [only, another] = exported.images;
      // The engine's images go by this, whatever index they are in; one that was pushed is known by that.
      return store && !push && only && !another
        ? { ...answer, 'containerimage.config.digest': only.config.descriptor.digest }
        : answer;
    });
  }

  /** Of several platforms the one of this machine, or the only one. It is always unpacked, which `unpack` shows. */
  async #store(
    exported: ExportedResult,
    names: readonly string[],
    { unpack, step, signal }: { unpack: boolean; step: ExportStep; signal: AbortSignal },
  ): Promise<void> {
    const own = runnable(exported);
    if (!own && unpack) throw invalid(`no reference for default platform ${formatPlatform(hostPlatform())}`);
    if (!own) return;
    const { config, manifest } = own;
    const unpacked = () => this.#unpacked(own, signal);
    using _ = await (unpack
      ? step.phase(`unpacking to ${names[0] ?? config.descriptor.digest}`, unpacked)
      : unpacked());
    const { id } = await this.#ports.store.create(config.payload);
    await this.#ports.images.saveManifest(id, {
      digest: manifest.descriptor.digest,
      mediaType: manifest.descriptor.mediaType,
      payload: manifest.payload,
    });
    const stated = statementsOf(exported);
    if (stated) await this.#ports.statements.add(id, stated);
    const statements = stated?.index.digest;
    for (const name of names) {
      await step.phase(`naming to ${name}`, () =>
        this.#ports.store.tag(id, familiarReference(parseImageReference(name)), { statements }),
      );
    }
  }

  /** Its layers on this machine: those of the build, or, where they were rewritten, what they became. */
  async #unpacked(
    { platform: { ref }, layers: exported }: ExportedImage,
    signal: AbortSignal,
  ): Promise<Disposable> {
    const { layers, local } = this.#ports;
    const built = ref?.kind === 'layers' ? ref.layers : [];
    const rewritten = exported.findIndex(({ diffId }, i) => diffId !== built[i]?.diffId);
    if (ref?.kind === 'layers') await local.require(ref, { signal });
    const chain = chainIds(exported.map(({ diffId }) => diffId));
    const { pin, present } = await layers.pinStack(chain);
    if (rewritten < 0) return pin;
    try {
      for (let i = present; i < chain.length; i++) {
        const unpacked = await layers.unpack(exported[i]!.open({ signal }), { signal });
        await layers.stack(unpacked, chain[i - 1]);
      }
      return pin;
    } catch (error) {
      pin[Symbol.dispose]();
      throw error;
    }
  }

  /** So that it is found by the digest of what was written, and `docker images --digests` shows that. */
  async #remember(exported: ExportedResult, repository: string): Promise<void> {
    const own = runnable(exported);
    if (!own) return;
    const id = own.config.descriptor.digest;
    if (await this.#ports.images.find(id)) {
      await this.#ports.images.setDigest(repository, exported.root.digest, id);
    }
  }
}

/** The frontend may have named the image (`name=*`). */
export function namesOf(names: readonly string[], { metadata }: SolvedResult): readonly string[] {
  if (names.length !== 1 || names[0] !== '*') return names;
  const named = metadata.get('image.name');
  return named ? Buffer.from(named).toString('utf8').split(',') : [];
}

/** What the engine's store has a place for: statements of an image that is there with all that its index names. */
function keptOf(result: SolvedResult, { ociTypes }: { ociTypes: boolean }): SolvedResult {
  const { refs, metadata, attestations } = result;
  const kept = ociTypes && resultPlatforms(result).length === 1;
  return { refs, metadata, ...(kept && attestations && { attestations }) };
}

function statementsOf({ images, attestations, index }: ExportedResult): ImageStatements | undefined {
  if (!index || images.length !== 1 || attestations.length === 0) return undefined;
  return {
    blobs: attestations.flatMap(({ blobs }) => blobs.map(stored)),
    manifests: attestations.map(({ manifest }) => stored(manifest)),
    index: stored(index),
  };
}

function stored({ descriptor, payload }: ExportedDocument): StoredManifest {
  return { digest: descriptor.digest, mediaType: descriptor.mediaType, payload };
}

function runnable({ images }: ExportedResult): ExportedImage | undefined {
  if (images.length === 1) return images[0];
  return images.find(({ platform }) => platformMatches(hostPlatform(), platform.platform));
}

/** BuildKit's `ExporterResponse` (exporter/containerimage/exptypes/types.go). */
export function responseOf(
  { images, index, root }: ExportedResult,
  names: readonly string[],
): Record<string, string> {
  const [image] = images;
  return {
    'containerimage.digest': root.digest,
    ...(image && !index && { 'containerimage.config.digest': image.config.descriptor.digest }),
    'containerimage.descriptor': Buffer.from(JSON.stringify(root)).toString('base64'),
    ...(names.length > 0 && { 'image.name': names.join(',') }),
  };
}
