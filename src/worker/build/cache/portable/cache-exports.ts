import { Semaphore } from '#async/semaphore.ts';
import type { Registries } from '#distribution/registries.ts';
import { isKind } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { ImageReference } from '#oci/reference.ts';
import { ExportStep } from '../../export/export-step.ts';
import type { ExportedDocument } from '../../export/exported-document.ts';
import type { ExportedLayer, LayerExport } from '../../export/layer-export.ts';
import { allOrFirstFailure, LayerPush, type LayerPushPorts, putDocument } from '../../export/layer-push.ts';
import { registryCredentials } from '../../export/registry-credentials.ts';
import type { BuildSession } from '../../session/build-session.ts';
import type { ProgressSink } from '../../solve/progress.ts';
import type { LayersRef, Ref } from '../../solve/ref.ts';
import { cacheDocuments } from './cache-documents.ts';
import { localStore } from './cache-imports.ts';
import type { CacheExportOptions } from './export-options.ts';
import { type ExportedStep, LayerGraph, recordsOf } from './record-graph.ts';
import { chainOf, ResultLayers } from './result-layers.ts';

export interface CacheExportsPorts extends LayerPushPorts {
  readonly registries: Registries;
  readonly layers: LayerExport;
}

/** A build of which caches are exported. */
export interface ExportedBuild {
  /** What it came to. */
  readonly refs: readonly (Ref | undefined)[];
  /** Its graph; `wanted`: of which outcomes. */
  steps(wanted: (outputs: readonly LayersRef[]) => boolean): Promise<readonly ExportedStep[]>;
  readonly session: BuildSession;
  readonly progress: Pick<ProgressSink, 'vertex' | 'status'>;
  readonly signal: AbortSignal;
}

/** Where documents and layers go. */
interface Target {
  readonly name: string;
  layer(layer: ExportedLayer): Promise<void>;
  document(document: ExportedDocument, name?: string): Promise<void>;
  manifest(manifest: ExportedDocument): Promise<void>;
}

const AT_ONCE = 5;

/** `--cache-to type=registry` and `type=local`: a build's records and layers, in BuildKit's format. */
export class CacheExports {
  readonly #registries: Registries;
  readonly #layers: LayerExport;
  readonly #push: LayerPush;

  constructor(ports: CacheExportsPorts) {
    this.#registries = ports.registries;
    this.#layers = ports.layers;
    this.#push = new LayerPush(ports);
  }

  /** Answers attributes for the client (`cache.manifest`). Throws what keeps it from being exported, unless that is not to matter. */
  async export(
    options: CacheExportOptions,
    build: ExportedBuild,
    id: number,
  ): Promise<Readonly<Record<string, string>>> {
    const name =
      options.type === 'registry' ? 'exporting cache to registry' : 'exporting cache to client directory';
    try {
      return await ExportStep.run(build.progress, { name, id }, (step) => this.#export(options, build, step));
    } catch (error) {
      if (!options.ignoreError || isKind(error, 'canceled') || build.signal.aborted) throw error;
      return {};
    }
  }

  async #export(
    options: CacheExportOptions,
    build: ExportedBuild,
    step: ExportStep,
  ): Promise<Record<string, string>> {
    const { signal } = build;
    const { compression, forceCompression: force, mode } = options;
    const prepared = await step.phase('preparing build cache for export', async () => {
      const results = new ResultLayers(build.refs);
      const isWanted = (outputs: readonly LayersRef[]) =>
        mode === 'max' || outputs.some((output) => results.covers(output));
      const steps = await build.steps(isWanted);
      const outcomes = steps.flatMap(({ outcomes }) => outcomes).filter((outcome) => isWanted([outcome]));
      const how = { compression, force, oci: true, rewrite: undefined, signal };
      const layers = await results.exported(outcomes, (ref) => this.#layers.layers(ref, how));
      const graph = new LayerGraph();
      const records = recordsOf(steps, (outcome) => {
        const own = layers.get(chainOf(outcome));
        if (!own || own.length === 0) return undefined;
        const layer = graph.place(own.map(({ descriptor }) => descriptor.digest));
        const createdAt = own.at(-1)!.createdAt?.toISOString() ?? '0001-01-01T00:00:00Z';
        return { layers: [{ layer, createdAt }], chains: [] };
      });
      const blobs = new Map([...layers.values()].flat().map((layer) => [layer.descriptor.digest, layer]));
      const used = [...new Set(graph.layers.map(({ blob }) => blob))].map((blob) => blobs.get(blob)!);
      return { config: { layers: graph.layers, records }, layers: used };
    });
    if (prepared.layers.length === 0) {
      await step.done('skipping cache export for empty result');
      return {};
    }
    const target = await this.#target(options, build);
    const { config, manifest } = cacheDocuments(prepared.config, prepared.layers, options);
    await step.phase('sending cache export', async () => {
      const slots = new Semaphore(AT_ONCE);
      await allOrFirstFailure(
        prepared.layers.map((layer) =>
          slots.run(() => step.phase(`writing layer ${layer.descriptor.digest}`, () => target.layer(layer))),
        ),
      );
      await step.phase(`writing config ${config.descriptor.digest}`, () => target.document(config));
      const kind = options.imageManifest ? 'cache image manifest' : 'cache manifest';
      await step.phase(`writing ${kind} ${manifest.descriptor.digest}`, () => target.manifest(manifest));
    });
    const { mediaType, digest, size } = manifest.descriptor;
    return { 'cache.manifest': JSON.stringify({ mediaType, digest, size }) };
  }

  async #target(
    options: CacheExportOptions,
    { session, signal }: ExportedBuild,
  ): Promise<Pick<Target, 'layer' | 'document' | 'manifest'>> {
    if (options.type === 'local') {
      const store = localStore(options.directory);
      const write = (
        descriptor: { digest: Digest; size: number },
        content: () => AsyncIterable<Uint8Array>,
      ) => session.writeContent(store, descriptor, content, { signal });
      const document = ({ descriptor, payload }: ExportedDocument) =>
        write(descriptor, async function* () {
          yield payload;
        });
      return {
        layer: ({ descriptor, open }) => write(descriptor, () => open({ signal })),
        document,
        manifest: document,
      };
    }
    const { reference } = options;
    const credentials = registryCredentials(session, reference.domain);
    const pusher = this.#registries.pusher(reference, credentials);
    return {
      layer: (layer) => this.#push.layer(layer, { reference, pusher, signal }),
      document: (document) => putDocument(document, { pusher, signal }),
      manifest: ({ descriptor: { mediaType, digest }, payload }) =>
        pusher.putManifest(tagOf(reference) ?? digest, { mediaType, payload }, { signal }),
    };
  }
}

function tagOf({ tag, digest }: ImageReference): string | undefined {
  return digest ? undefined : tag;
}
