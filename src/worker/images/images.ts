import type { ContentStore } from '#content/content-store.ts';
import type { WorkerDatabase } from '#database/worker/open.ts';
import type { EventPublisher } from '../events/event-publisher.ts';
import type { DiffApplier, DiffComparer } from '../snapshots/diff.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import { ImageLoader } from './archive/image-loader.ts';
import { ImageRepository } from './image-repository.ts';
import { ImageStore } from './image-store.ts';
import { LayerBlobs } from './layer-blobs.ts';
import { LayerRepository } from './layer-repository.ts';
import { LayerStore } from './layer-store.ts';

export interface ImagesPorts {
  readonly database: WorkerDatabase;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly applier: DiffApplier;
  readonly comparer: DiffComparer;
  readonly events: EventPublisher;
}

/** Everything that this folder offers, wired. */
export interface Images {
  /** What containers and builds use. */
  readonly store: ImageStore;
  readonly loader: ImageLoader;
  readonly layers: LayerStore;
  /** Call once at start, after the snapshotter's. */
  reconcile(): Promise<void>;
}

export function createImages(ports: ImagesPorts): Images {
  const { content, events } = ports;
  const images = new ImageRepository(ports.database);
  const layerRows = new LayerRepository(ports.database);
  const blobs = new LayerBlobs({ content, layers: layerRows });
  const layers = new LayerStore({ ...ports, layers: layerRows, blobs });
  const store = new ImageStore({ images, layers, events });
  return {
    store,
    layers,
    loader: new ImageLoader({ content, images, store, layers, blobs, events }),
    reconcile: () => layers.reconcile(),
  };
}
