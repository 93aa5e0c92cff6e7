import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, digestOf, isDigest } from '#oci/digest.ts';
import type { Manifest } from '#oci/manifest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { parseManifest } from '#worker/images/pull/manifest-parser.ts';
import type { Op } from '../llb/op.ts';

/** A finished step as a registry keeps it. */
export interface StoredStep {
  /** What it is found by; in the registry, tags. */
  readonly keys: readonly string[];
  readonly kind: Op['kind'];
  readonly description: string;
  readonly createdAt: Date;
  /** Of each output, the layers, bottom first. */
  readonly outputs: readonly (readonly StoredLayer[])[];
}

export interface StoredLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  readonly createdAt?: Date;
}

const ARTIFACT_TYPE = 'application/vnd.slipway.build.step.v1';
const KEYS = 'io.slipway.build.keys';
const KIND = 'io.slipway.build.kind';
const OUTPUTS = 'io.slipway.build.outputs';
const DIFF_ID = 'io.slipway.layer.diff-id';
const CREATED = 'org.opencontainers.image.created';
const DESCRIPTION = 'org.opencontainers.image.description';

/** What a manifest without a configuration points at (OCI image-spec, manifest.md, "Guidance for an Empty Descriptor"). */
export const EMPTY_CONFIG = {
  descriptor: { mediaType: MEDIA_TYPE.ociEmpty, digest: digestOf('{}'), size: 2 },
  payload: Buffer.from('{}'),
} as const;

const outputsSchema = z.array(z.array(z.int().nonnegative()).max(1000)).max(1000);
const keysSchema = z.array(z.string()).max(100);
const kindSchema = z.enum(['source', 'exec', 'file', 'merge', 'diff', 'passthrough']);
const dateSchema = z.iso.datetime().transform((text) => new Date(text));

/** As an OCI manifest: each layer once, and in an annotation which of them each output is. */
export function encodeStep(step: StoredStep): { mediaType: string; payload: Buffer } {
  const positions = new Map<Digest, number>();
  const layers: Descriptor[] = [];
  const position = ({ descriptor, diffId, createdAt }: StoredLayer): number => {
    const known = positions.get(diffId);
    if (known !== undefined) return known;
    const { mediaType, digest, size } = descriptor;
    const created = createdAt && { [CREATED]: createdAt.toISOString() };
    layers.push({ mediaType, digest, size, annotations: { [DIFF_ID]: diffId, ...created } });
    positions.set(diffId, layers.length - 1);
    return layers.length - 1;
  };
  const outputs = step.outputs.map((output) => output.map(position));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    artifactType: ARTIFACT_TYPE,
    config: EMPTY_CONFIG.descriptor,
    layers,
    annotations: {
      [KEYS]: JSON.stringify(step.keys),
      [KIND]: step.kind,
      [OUTPUTS]: JSON.stringify(outputs),
      [CREATED]: step.createdAt.toISOString(),
      [DESCRIPTION]: step.description.slice(0, 1000),
    },
  };
  return { mediaType: MEDIA_TYPE.ociManifest, payload: Buffer.from(JSON.stringify(manifest)) };
}

/** Throws `invalid` for anything that is no such record. */
export function decodeStep(mediaType: string, payload: Uint8Array): StoredStep {
  const parsed = parseManifest(mediaType, payload);
  if (parsed.kind !== 'manifest' || parsed.manifest.artifactType !== ARTIFACT_TYPE) {
    throw invalid('a record of the build cache is no record');
  }
  const { annotations = {}, layers } = parsed.manifest;
  const stored = layers.map(storedLayer);
  const outputs = read(outputsSchema, json(annotations[OUTPUTS]));
  return {
    keys: read(keysSchema, json(annotations[KEYS])),
    kind: read(kindSchema, annotations[KIND]),
    description: annotations[DESCRIPTION] ?? '',
    createdAt: read(dateSchema, annotations[CREATED]),
    outputs: outputs.map((positions) =>
      positions.map((at) => {
        const layer = stored[at];
        if (!layer) throw invalid('a record of the build cache speaks of a layer that it has not');
        return layer;
      }),
    ),
  };
}

function storedLayer({ mediaType, digest, size, annotations = {} }: Descriptor): StoredLayer {
  const diffId = annotations[DIFF_ID];
  if (diffId === undefined || !isDigest(diffId)) throw invalid('a layer of the build cache has no diff ID');
  const created = annotations[CREATED];
  return {
    descriptor: { mediaType, digest, size },
    diffId,
    ...(created !== undefined && { createdAt: read(dateSchema, created) }),
  };
}

function json(text = ''): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid('a record of the build cache is no JSON', { cause });
  }
}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(`a record of the build cache: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
