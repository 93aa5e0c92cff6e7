import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { digestOf } from '#oci/digest.ts';
import type { SourceInfo } from '#worker/build/llb/source-info.ts';
import type { Edge, Vertex } from '#worker/build/llb/vertex.ts';
import {
  type Definition,
  DefinitionSchema,
  type OpMetadataSchema,
  OpSchema,
} from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import { opToPb } from './op-to-pb.ts';
import { platformToPb } from './platform-pb.ts';
import { resourcesToPb } from './resources-pb.ts';
import { rangesToPb, sourceInfoToPb } from './source-pb.ts';

/**
 * A graph as clients know it, so that they can hand it to another build. undefined: an empty file system. `names` gets
 * our digests by the client's.
 */
export function writeDefinition(edge: Edge | undefined, names?: Map<string, string>): Definition {
  const writer = new GraphWriter();
  if (edge) {
    const digest = writer.add(edge.vertex);
    writer.def.push(
      toBinary(OpSchema, create(OpSchema, { inputs: [{ digest, index: BigInt(edge.output) }] })),
    );
  }
  for (const [ours, theirs] of writer.digests) names?.set(theirs, ours.digest);
  const { def, metadata, infos, locations } = writer;
  return create(DefinitionSchema, { def, metadata, Source: { locations, infos: infos.map(sourceInfoToPb) } });
}

class GraphWriter {
  readonly def: Uint8Array[] = [];
  readonly digests = new Map<Vertex, string>();
  readonly metadata: Record<string, MessageInitShape<typeof OpMetadataSchema>> = {};
  readonly infos: SourceInfo[] = [];
  readonly locations: Record<string, { locations: object[] }> = {};

  /** Inputs first. Without recursion: a chain may be long. */
  add(vertex: Vertex): string {
    const open = [vertex];
    while (open.length > 0) {
      const current = open.at(-1)!;
      const missing = current.inputs.find((input) => !this.digests.has(input.vertex));
      if (missing) open.push(missing.vertex);
      else {
        open.pop();
        if (!this.digests.has(current)) this.#write(current);
      }
    }
    return this.digests.get(vertex)!;
  }

  #write(vertex: Vertex): void {
    const { op, inputs, platform, metadata } = vertex;
    const message = create(OpSchema, {
      ...opToPb(op, inputs.length),
      inputs: inputs.map((input) => ({
        digest: this.digests.get(input.vertex)!,
        index: BigInt(input.output),
      })),
      ...(platform && { platform: platformToPb(platform) }),
      constraints: {},
    });
    const bytes = toBinary(OpSchema, message);
    const digest: string = digestOf(bytes);
    this.digests.set(vertex, digest);
    if (this.metadata[digest]) return;
    this.def.push(bytes);
    const { name, ignoreCache, progressGroup, resources, source } = metadata;
    this.metadata[digest] = {
      description: { 'llb.customname': name },
      ignoreCache: ignoreCache ?? false,
      ...(progressGroup && { progressGroup }),
      ...(resources && { linuxResources: resourcesToPb(resources) }),
    };
    if (!source) return;
    let sourceIndex = this.infos.indexOf(source.info);
    if (sourceIndex < 0) sourceIndex = this.infos.push(source.info) - 1;
    this.locations[digest] = { locations: [{ sourceIndex, ranges: rangesToPb(source.ranges) }] };
  }
}
