import { z } from 'zod';

/** So many images of a worker are told of, the newest: of others it is asked. */
export const MAX_IMAGES = 2_000;

const text = z.string().max(512);

/** What a worker says of its images. */
export const workerContentShape = z.strictObject({
  images: z
    .array(
      z.strictObject({
        id: text,
        /** Familiar: `busybox:latest`, `busybox@sha256:…`. */
        names: z.array(z.strictObject({ name: text, taggedAt: z.number() })).max(1_000),
        /** The beginnings of its layers' diff IDs, bottom first. */
        layers: z.array(z.string().max(64)).max(1_000),
      }),
    )
    .max(MAX_IMAGES),
});

export type WorkerContent = z.infer<typeof workerContentShape>;
