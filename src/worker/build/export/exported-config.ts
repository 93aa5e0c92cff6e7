import { invalid } from '#errors/errors.ts';
import type { HistoryEntry, ImageConfig } from '#oci/image-config.ts';
import { hostPlatform } from '#oci/platform.ts';
import { INLINE_CACHE } from '../cache/portable/cache-config.ts';
import { DEFAULT_PATH } from '../frontend/image/image.ts';
import type { RefLayer } from '../solve/ref.ts';

export interface ConfigInputs {
  /** The frontend's; undefined: a graph that nobody made an image of. */
  readonly config: Uint8Array | undefined;
  /** Bottom first. */
  readonly layers: readonly Pick<RefLayer, 'diffId' | 'createdAt'>[];
  /** No time is later: SOURCE_DATE_EPOCH. */
  readonly epoch: Date | undefined;
  /** The configuration of the image that it stands on, whose history keeps its times. */
  readonly base: Uint8Array | undefined;
  /** What it is to say of the steps that made it. */
  readonly cache?: Uint8Array | undefined;
}

/**
 * An image's configuration as it is exported: the frontend's, with what only the finished layers tell. The same
 * layers and the same configuration give the same bytes, so an unchanged build is the same image. Throws `invalid`.
 */
export function exportedConfig({ config, layers, epoch, base, cache }: ConfigInputs): Uint8Array {
  // A base image's says nothing of this one.
  const { [INLINE_CACHE]: _, ...image }: ImageConfig & { [INLINE_CACHE]?: unknown } = config
    ? parseConfig(config)
    : defaultConfig();
  if (!image.os) throw invalid('invalid image config for export: missing os');
  if (!image.architecture) throw invalid('invalid image config for export: missing architecture');
  const times = layers.map(({ createdAt }) => createdAt?.toISOString());
  let history = withTimes(withEntries(image.history ?? [], times), times);
  if (epoch) history = clamped(history, epoch, base ? (parseConfig(base).history ?? []) : []);
  let created = image.created ?? history.findLast((entry) => entry.created !== undefined)?.created;
  if (epoch && created !== undefined) created = earlier(created, epoch);
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) };
  return Buffer.from(
    JSON.stringify({
      ...image,
      ...(created !== undefined && { created: asGo(created) }),
      history: history.map((entry) => (entry.created ? { ...entry, created: asGo(entry.created) } : entry)),
      rootfs,
      ...(cache && { [INLINE_CACHE]: Buffer.from(cache).toString('base64') }),
    }),
  );
}

/** As many entries with layers as there are layers. */
function withEntries(
  history: readonly HistoryEntry[],
  times: readonly (string | undefined)[],
): HistoryEntry[] {
  let layers = 0;
  const entries = history.map((entry): HistoryEntry => {
    if (entry.empty_layer) return entry;
    return ++layers > times.length ? { ...entry, empty_layer: true } : entry;
  });
  for (const created of times.slice(layers)) {
    entries.push({
      ...(created !== undefined && { created }),
      created_by: 'created by slipway',
      comment: 'buildkit.exporter.image.v0',
    });
  }
  return entries;
}

/**
 * Entries with a layer get that layer's time. Those without one get the time of the layer before; those before the
 * first new layer get its time, not that of the base image.
 */
function withTimes(history: readonly HistoryEntry[], times: readonly (string | undefined)[]): HistoryEntry[] {
  let layer = 0;
  const timed = history.map((entry): HistoryEntry => {
    const time = entry.empty_layer ? undefined : times[layer++];
    return entry.created === undefined && time !== undefined ? { ...entry, created: time } : entry;
  });
  const firstOpen = timed.findIndex((entry) => entry.created === undefined);
  if (firstOpen < 0) return timed;
  const firstNew = timed.slice(firstOpen).find((entry) => entry.created !== undefined);
  let created = (firstNew ?? timed.slice(0, firstOpen).findLast((entry) => entry.created !== undefined))
    ?.created;
  return timed.map((entry, at): HistoryEntry => {
    if (entry.created !== undefined) {
      if (at > firstOpen) created = entry.created;
      return entry;
    }
    return created === undefined ? entry : { ...entry, created };
  });
}

function clamped(
  history: readonly HistoryEntry[],
  epoch: Date,
  base: readonly HistoryEntry[],
): HistoryEntry[] {
  let same = 0;
  while (
    same < history.length &&
    same < base.length &&
    JSON.stringify(history[same]) === JSON.stringify(base[same])
  )
    same++;
  return history.map((entry, at) =>
    at < same ? entry : { ...entry, created: earlier(entry.created, epoch) },
  );
}

function earlier(created: string | undefined, epoch: Date): string {
  return created === undefined || new Date(created) > epoch ? epoch.toISOString() : created;
}

/** A time as Go writes it: no zeros at the end of its fraction. BuildKit reads and writes those of base images too. */
function asGo(time: string): string {
  return time.replace(/\.(\d*?)0*Z$/, (_, fraction) => (fraction === '' ? 'Z' : `.${fraction}Z`));
}

function defaultConfig(): ImageConfig {
  const { os, architecture } = hostPlatform();
  const config = { Env: [`PATH=${DEFAULT_PATH}`], WorkingDir: '/' };
  return { architecture, os, config, rootfs: { type: 'layers', diff_ids: [] } };
}

/** Throws `invalid`. */
export function parseConfig(bytes: Uint8Array): ImageConfig {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw invalid('invalid image config for export', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('invalid image config for export: no object');
  }
  return value as ImageConfig;
}
