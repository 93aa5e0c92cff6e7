import { tooLarge } from '#errors/errors.ts';
import type { Compilation } from './compilation.ts';
import type { Stage } from './stage.ts';

/** Of all stages: an image's configuration may not be larger either. */
const MAX_BYTES = 8 * 1024 * 1024;
const COMMENT = 'buildkit.dockerfile.v0';

/** Adds what an instruction did to the history of the image. Throws `too-large`. */
export function addHistory(
  compilation: Pick<Compilation, 'epoch' | 'written'>,
  stage: Stage,
  createdBy: string,
  { layer = false } = {},
): void {
  const { epoch, written } = compilation;
  written.history += createdBy.length;
  if (written.history > MAX_BYTES) throw tooLarge('the history of the image is too large');
  stage.image.history.push({
    ...(epoch && { created: epoch.toISOString().replace(/\.000Z$/, 'Z') }),
    created_by: createdBy,
    comment: COMMENT,
    ...(!layer && { empty_layer: true }),
  });
}
