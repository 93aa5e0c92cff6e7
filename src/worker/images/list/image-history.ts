import type { Digest } from '#oci/digest.ts';
import type { HistoryEntry } from '#oci/image-config.ts';
import { familiar } from '../image-name.ts';
import type { ImageRepository } from '../image-repository.ts';
import type { ImageStore } from '../image-store.ts';

export interface HistoryStep {
  /** The image that a build left after this step, where it is still here. */
  readonly id: Digest | undefined;
  readonly created: string | undefined;
  readonly createdBy: string;
  readonly comment: string;
  readonly names: readonly string[];
  readonly bytes: number;
}

/** How an image came to be, last step first. Throws `not-found`. */
export async function imageHistory(
  reference: string,
  ports: { store: ImageStore; images: ImageRepository },
): Promise<HistoryStep[]> {
  const image = await ports.store.resolve(reference);
  const layers = await ports.images.layers(image.id);
  // Images by other tools may say nothing of their layers.
  const history: readonly HistoryEntry[] = image.config.history ?? layers.map(() => ({}));
  let next = 0;
  const steps = history.map((entry) => ({
    id: undefined as Digest | undefined,
    created: entry.created,
    createdBy: entry.created_by ?? '',
    comment: entry.comment ?? '',
    names: [] as string[],
    bytes: entry.empty_layer ? 0 : (layers[next++]?.bytes ?? 0),
  }));
  steps.reverse();
  let id: Digest | undefined = image.id;
  for (const step of steps) {
    if (id === undefined) break;
    step.id = id;
    step.names = (await ports.images.names(id)).map(({ name }) => familiar(name));
    id = (await ports.images.find(id))?.parent;
  }
  return steps;
}
