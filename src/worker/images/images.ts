import type { ContentStore } from '#content/content-store.ts';
import type { WorkerDatabase } from '#database/worker/open.ts';
import type { Credentials } from '#distribution/authorizer.ts';
import { HttpTransport } from '#distribution/http-transport.ts';
import { Registries } from '#distribution/registries.ts';
import { RegistryHosts } from '#distribution/registry-hosts.ts';
import type { RetryOptions } from '#distribution/retry.ts';
import type { ImageReference } from '#oci/reference.ts';
import type { EventPublisher } from '../events/event-publisher.ts';
import type { DiffApplier, DiffComparer } from '../snapshots/diff.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import { type ApplyChanges, ImageImporter } from './archive/image-importer.ts';
import { ImageLoader } from './archive/image-loader.ts';
import { ImageSaver } from './archive/image-saver.ts';
import type { Gzip } from './gzip/gzip.ts';
import { selectGzip } from './gzip/select-gzip.ts';
import { ImageRepository } from './image-repository.ts';
import { ImageStore } from './image-store.ts';
import { LayerBlobs } from './layer-blobs.ts';
import { LayerRepository } from './layer-repository.ts';
import { LayerStore } from './layer-store.ts';
import { type ImageDetails, imageDetails } from './list/image-details.ts';
import { type HistoryStep, imageHistory } from './list/image-history.ts';
import { ImageLister } from './list/image-lister.ts';
import { LayerPuller } from './pull/layer-puller.ts';
import { Puller } from './pull/puller.ts';
import { ImagePusher } from './push/image-pusher.ts';
import { LayerPusher } from './push/layer-pusher.ts';
import { LayerUploads, type LayerUploadsPorts } from './push/layer-uploads.ts';
import { ImagePruner } from './remove/image-pruner.ts';
import { ImageRemover } from './remove/image-remover.ts';
import { StatementRepository } from './statement-repository.ts';
import { StepImageRepository } from './step-image-repository.ts';

export interface ImagesPorts {
  readonly database: WorkerDatabase;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly applier: DiffApplier;
  readonly comparer: DiffComparer;
  readonly events: EventPublisher;
  /** What layers are compressed with. undefined: what is there. */
  readonly gzip?: Gzip;
  /** Whether there is work that goes before what nobody waits for. undefined: always. */
  readonly isBusy?: () => boolean;
  /** For `docker import --change`. */
  readonly applyChanges: ApplyChanges;
  /** Whether a container runs, by its ID. */
  readonly isRunning: (containerId: string) => boolean | Promise<boolean>;
}

export interface ImagesOptions {
  /** Where Docker Hub's names are looked up first, in order: `http://127.0.0.1:5000`. */
  readonly registryMirrors?: readonly string[];
  /** Hosts and networks that are spoken to in plain HTTP, besides loopback. */
  readonly insecureRegistries?: readonly string[];
  /** Throws `forbidden` for registries (`docker.io`) that are not to be talked to. */
  readonly allowRegistry?: (domain: string) => void;
  /** Layers that are downloaded, or uploaded, at once. */
  readonly concurrentDownloads?: number;
  readonly concurrentUploads?: number;
  /** Where layers that are made here are brought before anybody pushes them. */
  readonly uploads?: { readonly reference: ImageReference; readonly credentials?: Credentials };
  readonly retry?: RetryOptions;
}

/** Everything that this folder offers, wired. */
export interface Images {
  /** What containers and builds use. */
  readonly store: ImageStore;
  readonly lister: ImageLister;
  readonly loader: ImageLoader;
  readonly saver: ImageSaver;
  readonly importer: ImageImporter;
  readonly remover: ImageRemover;
  readonly pruner: ImagePruner;
  readonly registries: Registries;
  readonly puller: Puller;
  readonly pusher: ImagePusher;
  readonly layers: LayerStore;
  readonly layerPuller: LayerPuller;
  readonly blobs: LayerBlobs;
  readonly uploads: LayerUploads | undefined;
  /** The tables behind it, for what writes images itself. */
  readonly rows: {
    readonly images: ImageRepository;
    readonly layers: LayerRepository;
    readonly statements: StatementRepository;
    readonly steps: StepImageRepository;
  };
  /** Throw `not-found`. */
  details(reference: string): Promise<ImageDetails>;
  history(reference: string): Promise<HistoryStep[]>;
  /** Call once at start, after the snapshotter's. */
  reconcile(): Promise<void>;
  /** Closes connections to registries. */
  stop(): Promise<void>;
}

export function createImages(ports: ImagesPorts, options: ImagesOptions = {}): Images {
  const { content, events } = ports;
  const images = new ImageRepository(ports.database);
  const layerRows = new LayerRepository(ports.database);
  const statements = new StatementRepository(ports.database);
  const steps = new StepImageRepository(ports.database);
  const blobs = new LayerBlobs({ ...ports, layers: layerRows, gzip: ports.gzip ?? selectGzip() });
  const layers = new LayerStore({ ...ports, layers: layerRows, blobs });
  const store = new ImageStore({ images, statements, layers, events });
  const transport = new HttpTransport();
  const hosts = new RegistryHosts({
    mirrors: options.registryMirrors ?? [],
    insecure: options.insecureRegistries ?? [],
    ...(options.allowRegistry && { allow: options.allowRegistry }),
  });
  const registries = new Registries({ transport, hosts }, options.retry ? { retry: options.retry } : {});
  const layerPuller = new LayerPuller(
    { content, layers, blobs },
    { concurrency: options.concurrentDownloads ?? 3 },
  );
  const uploads = options.uploads && createUploads(options.uploads, { registries, layers, layerRows, blobs });
  const layerPusher = new LayerPusher(
    { layers, layerRows, blobs, uploads },
    { concurrency: options.concurrentUploads ?? 5 },
  );
  const lister = new ImageLister({ images, layers: layerRows, store });
  const remover = new ImageRemover({ images, steps, store, layers, events, isRunning: ports.isRunning });
  return {
    store,
    layers,
    layerPuller,
    blobs,
    uploads,
    rows: { images, layers: layerRows, statements, steps },
    lister,
    remover,
    registries,
    pruner: new ImagePruner({ lister, remover, layers, blobs }),
    loader: new ImageLoader({ content, images, store, layers, blobs, events }),
    saver: new ImageSaver({ images, store, layers, events }),
    importer: new ImageImporter({ layers, store, events, applyChanges: ports.applyChanges }),
    puller: new Puller({ registries, images, store, layers, layerRows, layerPuller, events }),
    pusher: new ImagePusher({ registries, images, statements, store, layerPusher, events }),
    details: (reference) => imageDetails(reference, { images, store }),
    history: (reference) => imageHistory(reference, { images, store }),
    reconcile: async () => {
      await layers.reconcile();
      await blobs.reconcile();
    },
    stop: async () => {
      await uploads?.[Symbol.asyncDispose]();
      await blobs[Symbol.asyncDispose]();
      transport[Symbol.dispose]();
    },
  };
}

function createUploads(
  { reference, credentials }: NonNullable<ImagesOptions['uploads']>,
  { registries, ...ports }: Omit<LayerUploadsPorts, 'repository'> & { registries: Registries },
): LayerUploads {
  const pusher = registries.pusher(reference, credentials);
  // The registry itself: the others are mirrors.
  const fetcher = registries.fetchers(reference, credentials).at(-1)!;
  return new LayerUploads({ ...ports, repository: { reference, pusher, fetcher } });
}
