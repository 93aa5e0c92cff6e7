import { isKind } from '#errors/errors.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import type { HistoryEntry } from '#oci/image-config.ts';
import type { ImageStore } from '#worker/images/image-store.ts';
import type { StepImageRepository } from '#worker/images/step-image-repository.ts';
import { exportedConfig, parseConfig } from '../export/exported-config.ts';
import type { LocalLayers } from '../export/layer-export.ts';
import type { RefLayer } from '../solve/ref.ts';

export interface StepImagesPorts {
  readonly store: Pick<ImageStore, 'create' | 'get'>;
  readonly steps: Pick<StepImageRepository, 'touch' | 'keep'>;
  readonly layers: Pick<LocalLayers, 'require'>;
}

/** What an image is made of. */
export interface StepImage {
  /** As the frontend has it after the step. */
  readonly config: Uint8Array;
  readonly history: readonly HistoryEntry[];
  /** Bottom first. */
  readonly layers: readonly RefLayer[];
  /** The configuration of the image that the stage stands on. */
  readonly base: Uint8Array | undefined;
  /** The image before the step. */
  readonly parent: string | undefined;
}

/**
 * The images that steps leave, as the classic builder's do: without a name, known by the ID that is shown, to be run or
 * built on, and gone with the last image that came of them.
 */
export class StepImages {
  readonly #ports: StepImagesPorts;
  readonly #epoch: Date | undefined;
  readonly #signal: AbortSignal;

  /** `epoch`: no time is later. */
  constructor(ports: StepImagesPorts, { epoch, signal }: { epoch: Date | undefined; signal: AbortSignal }) {
    this.#ports = ports;
    this.#epoch = epoch;
    this.#signal = signal;
  }

  /**
   * Answers the image's ID. Of layers that are not on this machine, as another one has made them and nobody has needed
   * their files here, it makes no image; with `whole`, as it is what the build is for, it brings them, and throws as
   * `LocalLayers.require`. Others may go when the cache has no room for them.
   */
  async make(
    { config, history, layers, base, parent }: StepImage,
    { whole }: { whole: boolean },
  ): Promise<Digest> {
    const written = Buffer.from(JSON.stringify({ ...parseConfig(config), history }));
    const exported = exportedConfig({ config: written, layers, epoch: this.#epoch, base });
    const id = digestOf(exported);
    const { steps } = this.#ports;
    await (whole ? steps.keep(id) : steps.touch(id));
    if (await this.#has(id)) return id;
    const signal = this.#signal;
    try {
      const wanted = whole ? layers : layers.map(({ diffId }) => ({ diffId }));
      await this.#ports.layers.require({ kind: 'layers', layers: wanted }, { signal });
    } catch (error) {
      if (whole || !isKind(error, 'unavailable')) throw error;
      return id;
    }
    signal.throwIfAborted();
    const known = parent !== undefined && (await this.#has(parent as Digest));
    await this.#ports.store.create(exported, { step: !whole, ...(known && { parent: parent as Digest }) });
    return id;
  }

  async #has(id: Digest): Promise<boolean> {
    try {
      await this.#ports.store.get(id);
      return true;
    } catch (error) {
      if (isKind(error, 'not-found')) return false;
      throw error;
    }
  }
}
