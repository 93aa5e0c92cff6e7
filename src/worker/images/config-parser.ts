import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import { isDigest } from '#oci/digest.ts';
import type { ImageConfig } from '#oci/image-config.ts';

/** Some tools write this much and no more; labels and history make up the most of it. */
export const MAX_CONFIG_BYTES = 8 * 1024 * 1024;

const strings = z.array(z.string()).nullish();

/** Only what the worker relies on; everything else is kept as it is. */
const schema = z.looseObject({
  architecture: z.string(),
  os: z.string(),
  created: z.string().nullish(),
  rootfs: z.looseObject({
    type: z.literal('layers'),
    diff_ids: z.array(z.string().refine(isDigest)).nullish(),
  }),
  config: z
    .looseObject({
      User: z.string().nullish(),
      Env: strings,
      Cmd: strings,
      Entrypoint: strings,
      WorkingDir: z.string().nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
      Volumes: z.record(z.string(), z.unknown()).nullish(),
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
  history: z.array(z.looseObject({ empty_layer: z.boolean().nullish() })).nullish(),
});

/** Reads an image's configuration blob. Throws `invalid`. */
export function parseImageConfig(raw: Uint8Array): ImageConfig {
  if (raw.length > MAX_CONFIG_BYTES) throw invalid('image configuration is too large');
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(raw));
  } catch (cause) {
    throw invalid('image configuration is not JSON', { cause });
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw invalid(`invalid image configuration: ${issue?.path.join('.') || 'value'}: ${issue?.message}`);
  }
  const config = result.data as unknown as ImageConfig & { rootfs: { diff_ids?: readonly string[] | null } };
  return { ...config, rootfs: { type: 'layers', diff_ids: config.rootfs.diff_ids ?? [] } };
}
