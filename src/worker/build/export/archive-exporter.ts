import { invalid } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, hexOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { familiarReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import { type TarInput, writeTar } from '#tar/writer.ts';
import { fullRepository } from '#worker/images/image-name.ts';
import { storeContent } from './content-export.ts';
import { booleanAttr } from './export-attrs.ts';
import { ExportStep } from './export-step.ts';
import type { ExportContext, Exporter, SolvedResult } from './exporter.ts';
import { namesOf, responseOf } from './image-exporter.ts';
import { parseImageOptions } from './image-options.ts';
import { type ExportedResult, type ImageWriter, wantedEpoch } from './image-writer.ts';
import { isMap, withMetadata, withoutInlineOnly } from './result-platforms.ts';

/** A name that the archive is to be known by. */
interface ArchiveName {
  /** `docker.io/library/a:1` */
  readonly full: string;
  readonly familiar: string;
  readonly tag: string;
}

/**
 * `type=oci` and `type=docker`: an image layout in a tar, sent to the client, or with `tar=false` its content into a store
 * of the client's. Docker's has `manifest.json` beside, for `docker load`, and one platform only.
 */
export class ArchiveExporter implements Exporter {
  readonly #writer: ImageWriter;
  readonly #format: 'oci' | 'docker';

  constructor(ports: { writer: ImageWriter }, format: 'oci' | 'docker') {
    this.#writer = ports.writer;
    this.#format = format;
  }

  export(solved: SolvedResult, context: ExportContext): Promise<Record<string, string>> {
    const options = parseImageOptions(context.attrs);
    const { tar: asTar = '', ...rest } = options.rest;
    const said = withMetadata(solved, rest);
    const result = options.inlineAttestations ? said : withoutInlineOnly(said);
    const tar = asTar === '' || booleanAttr('tar', asTar);
    const docker = this.#format === 'docker';
    if (docker && isMap(result)) {
      throw invalid('docker exporter does not currently support exporting manifest lists');
    }
    const names = namesOf(options.names, result).map(archiveName);
    const { progress, signal, session, exporterId: id } = context;
    const name = `exporting to ${this.#format} image format`;
    return ExportStep.run(progress, { name, id }, async (step) => {
      const writing = { ...options, ociTypes: options.ociTypes ?? true };
      const written = await this.#writer.write(result, writing, { step, signal });
      const epoch = wantedEpoch(result, written.images[0]!.platform, options);
      const exported = { ...written, root: dated(written.root, epoch ?? new Date()) };
      const response = responseOf(
        exported,
        names.map(({ full }) => full),
      );
      if (!tar) {
        await storeContent(exported, session, { signal });
        context.exported?.(exported);
        return response;
      }
      await step.phase('sending tarball', async () => {
        await using target = await session.sendFile(id, response, { signal });
        for await (const chunk of writeTar(files(exported, names, { docker, signal }))) {
          await target.write(chunk);
        }
        await target.finish();
      });
      context.exported?.(exported);
      return response;
    });
  }
}

/** An image as a layout lists it, with when it was put there. */
function dated(root: Descriptor, time: Date): Descriptor {
  const created = time.toISOString().replace(/\.\d+Z$/, 'Z');
  return { ...root, annotations: { 'org.opencontainers.image.created': created, ...root.annotations } };
}

async function* files(
  exported: ExportedResult,
  names: readonly ArchiveName[],
  { docker, signal }: { docker: boolean; signal: AbortSignal },
): AsyncGenerator<TarInput> {
  yield directory('blobs');
  yield directory('blobs/sha256');
  const written = new Set<Digest>();
  const isNew = ({ digest }: Descriptor) => !written.has(digest) && Boolean(written.add(digest));
  for (const { layers, config, manifest } of exported.images) {
    for (const { descriptor, open } of layers) {
      if (isNew(descriptor)) yield file(blobPath(descriptor), descriptor.size, open({ signal }));
    }
    for (const { descriptor, payload } of [config, manifest]) {
      if (isNew(descriptor)) yield file(blobPath(descriptor), payload.length, [payload]);
    }
  }
  for (const { blobs, manifest } of exported.attestations) {
    for (const { descriptor, payload } of [...blobs, manifest]) {
      if (isNew(descriptor)) yield file(blobPath(descriptor), payload.length, [payload]);
    }
  }
  const { index } = exported;
  if (index) yield file(blobPath(index.descriptor), index.payload.length, [index.payload]);
  yield json('index.json', layoutIndex(exported.root, names));
  if (docker) yield json('manifest.json', dockerManifest(exported, names));
  yield json('oci-layout', { imageLayoutVersion: '1.0.0' });
}

function layoutIndex(root: Descriptor, names: readonly ArchiveName[]): object {
  const manifests =
    names.length === 0
      ? [root]
      : names.map(({ full, tag }) => ({
          ...root,
          annotations: {
            ...root.annotations,
            'io.containerd.image.name': full,
            'org.opencontainers.image.ref.name': tag,
          },
        }));
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests };
}

function dockerManifest({ images }: ExportedResult, names: readonly ArchiveName[]): object {
  const { config, layers } = images[0]!;
  return [
    {
      Config: blobPath(config.descriptor),
      RepoTags: names.length > 0 ? names.map(({ familiar }) => familiar) : null,
      Layers: layers.map(({ descriptor }) => blobPath(descriptor)),
    },
  ];
}

function archiveName(name: string): ArchiveName {
  const reference = withDefaultTag(parseImageReference(name));
  const tag = reference.tag ?? '';
  return { full: `${fullRepository(reference)}:${tag}`, familiar: familiarReference(reference), tag };
}

function blobPath({ digest }: Descriptor): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

const OWNED = { uid: 0, gid: 0, mtime: 0 };

function directory(path: string): TarInput {
  return { entry: { ...OWNED, path, type: 'directory', mode: 0o755, size: 0 } };
}

function file(path: string, size: number, body: TarInput['body']): TarInput {
  return { entry: { ...OWNED, path, type: 'file', mode: 0o644, size }, ...(body && { body }) };
}

function json(path: string, value: unknown): TarInput {
  const bytes = Buffer.from(JSON.stringify(value));
  return file(path, bytes.length, [bytes]);
}
