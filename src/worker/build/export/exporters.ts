import { invalid } from '#errors/errors.ts';
import type { Images } from '#worker/images/images.ts';
import type { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import type { RegistryRecords } from '../cache/registry-records.ts';
import { ArchiveExporter } from './archive-exporter.ts';
import type { Exporter } from './exporter.ts';
import { ImageExporter } from './image-exporter.ts';
import { ImagePush } from './image-push.ts';
import { ImageWriter } from './image-writer.ts';
import { LayerExport, type LocalLayers } from './layer-export.ts';
import { LocalExporter } from './local-exporter.ts';
import type { RefMounts } from './ref-mounts.ts';
import { SHARED_LAYERS, SharedLayersExporter } from './shared-layers-exporter.ts';
import { TarExporter } from './tar-exporter.ts';

export interface ExportersPorts {
  readonly images: Images;
  readonly local: LocalLayers;
  readonly mounts: RefMounts;
  readonly trees: TreePool;
  /** undefined: no cache is shared. */
  readonly shared?: RegistryRecords | undefined;
}

/** Every exporter by the type that clients ask for. */
export class Exporters {
  /** What makes blobs of layers, for whoever else exports them. */
  readonly layers: LayerExport;
  readonly #byType: ReadonlyMap<string, Exporter>;

  constructor({ images, local, mounts, trees, shared }: ExportersPorts) {
    const { store, layers, blobs, registries, rows, uploads } = images;
    this.layers = new LayerExport({ layers, blobs, local, uploads });
    const writer = new ImageWriter({ layers: this.layers });
    const push = new ImagePush({ registries, layerRows: rows.layers, uploads });
    const { images: imageRows, statements } = rows;
    const image = new ImageExporter({ writer, push, local, layers, store, images: imageRows, statements });
    this.#byType = new Map<string, Exporter>([
      ['image', image],
      // The docker driver's name for it.
      ['moby', image],
      ['oci', new ArchiveExporter({ writer }, 'oci')],
      ['docker', new ArchiveExporter({ writer }, 'docker')],
      ['local', new LocalExporter({ mounts })],
      ['tar', new TarExporter({ mounts, trees })],
      ...(shared ? [[SHARED_LAYERS, new SharedLayersExporter(shared)] as const] : []),
    ]);
  }

  /** Throws `invalid`. */
  of(type: string): Exporter {
    const exporter = this.#byType.get(type);
    if (!exporter) throw invalid(`exporter ${JSON.stringify(type)} could not be found`);
    return exporter;
  }
}
