import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';
import type { Vertex } from '../llb/vertex.ts';
import type { TellGraph, ToldGraph } from './graph-words.ts';

export interface OutcomeLayer {
  readonly diffId: Digest;
  /** Where it came from, if it did as a blob. */
  readonly blob?: Descriptor;
}

/** By the digest of a vertex, by its output: layers, bottom first. */
export type OutcomeLayers = ReadonlyMap<string, readonly (readonly OutcomeLayer[])[]>;

/** By outcome, such as `step0:0`: the chains of blobs that it may be had as. */
export type ToldLayers = Readonly<Record<string, readonly (readonly Descriptor[])[]>>;

/** The files that a graph was written in, and where in them each step is. */
export function sourceOf(vertices: readonly Vertex[], told: ToldGraph, tell: TellGraph): object {
  const located = vertices.flatMap(({ digest, metadata: { source } }) => {
    const id = told.ids.get(digest);
    return source && id !== undefined ? [{ id, source }] : [];
  });
  if (located.length === 0) return {};
  const infos = [...new Map(located.map(({ source }) => [source.info.filename, source.info])).values()];
  const locations = located.map(({ id, source }) => {
    const sourceIndex = infos.findIndex(({ filename }) => filename === source.info.filename);
    const ranges = source.ranges.map(({ start, end }) => ({ start: place(start), end: place(end) }));
    return [id, { locations: [{ ...(sourceIndex > 0 && { sourceIndex }), ranges }] }];
  });
  return {
    source: {
      locations: Object.fromEntries(locations),
      infos: infos.map(({ filename, language, data, edge }) => ({
        filename,
        language,
        data: Buffer.from(data).toString('base64'),
        ...(edge && configOf(tell(edge))),
      })),
    },
  };
}

/** `buildConfig` of provenance. */
export function configOf(told: ToldGraph | undefined) {
  return told && { llbDefinition: told.steps, digestMapping: told.digestMapping };
}

/** Blobs of each outcome of which every layer has become one. */
export function layersOf(
  told: ToldGraph,
  outcomes: OutcomeLayers,
  blobs: ReadonlyMap<Digest, Descriptor>,
): ToldLayers {
  const layers: Record<string, readonly (readonly Descriptor[])[]> = {};
  for (const [digest, outputs] of outcomes) {
    const id = told.ids.get(digest);
    for (const [output, chain] of id === undefined ? [] : outputs.entries()) {
      const found = chain.flatMap(({ diffId, blob }) => blobs.get(diffId) ?? blob ?? []);
      if (found.length > 0 && found.length === chain.length) layers[`${id}:${output}`] = [found];
    }
  }
  return layers;
}

function place({ line, character }: { readonly line: number; readonly character: number }): object {
  return { line, ...(character !== 0 && { character }) };
}
