import { unsupported } from '#errors/errors.ts';
import type { StoredLayer } from '../cache/record-manifest.ts';
import { writeLayers } from '../cache/stored-layers.ts';
import type { LayersRef } from '../solve/ref.ts';
import type { ExportContext, Exporter, SolvedResult } from './exporter.ts';

/** The exporter's name, and that of what it answers: what `readLayers` reads. */
export const SHARED_LAYERS = 'slipway.layers';

/** Brings a result to the cache that workers share, for the worker whose build it is a step of. */
export class SharedLayersExporter implements Exporter {
  readonly #shared: { bring(ref: LayersRef, signal: AbortSignal): Promise<StoredLayer[]> };

  constructor(shared: { bring(ref: LayersRef, signal: AbortSignal): Promise<StoredLayer[]> }) {
    this.#shared = shared;
  }

  async export({ refs }: SolvedResult, { signal }: ExportContext): Promise<Readonly<Record<string, string>>> {
    const ref = refs.get('');
    if (ref?.kind === 'directory') throw unsupported('a directory is no layers');
    return { [SHARED_LAYERS]: writeLayers(ref ? await this.#shared.bring(ref, signal) : []) };
  }
}
