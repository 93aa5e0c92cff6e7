import { fromBinary } from '@bufbuild/protobuf';
import { invalid, SlipwayError, tooLarge } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import type { SourceRange } from '#worker/build/llb/source-info.ts';
import { type Edge, type Vertex, type VertexMetadata, vertex } from '#worker/build/llb/vertex.ts';
import type {
  Definition,
  OpMetadata,
  Op as PbOp,
} from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import { OpSchema } from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import { opFromPb } from './op-from-pb.ts';
import { platformFromPb } from './platform-pb.ts';
import { resourcesFromPb } from './resources-pb.ts';
import { rangesFromPb, sourceInfoFromPb } from './source-pb.ts';
import { stepName } from './step-name.ts';

/** More than the largest builds have by far, and as many as are read in a second or so. */
const MAX_STEPS = 20_000;

/**
 * The graph that a client sent. Digests are computed here, steps that nobody reaches are not looked at, and a cycle cannot
 * be written, as a step is named by what it is. Throws `invalid` or `unsupported` for what cannot be built. undefined: an
 * empty definition, which is an empty file system. `names` gets our digests by the client's.
 */
export function readDefinition(definition: Definition, names?: Map<string, string>): Edge | undefined {
  try {
    return read(definition, names);
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    throw new SlipwayError(error.kind, `failed to load LLB: ${error.message}`, { cause: error });
  }
}

function read(definition: Definition, names: Map<string, string> | undefined): Edge | undefined {
  if (definition.def.length === 0) return undefined;
  if (definition.def.length > MAX_STEPS) throw tooLarge(`a definition of more than ${MAX_STEPS} steps`);
  const steps = new Map(definition.def.map((bytes) => [digestOf(bytes) as string, bytes]));
  const last = parseOp(definition.def.at(-1)!);
  // The last one is no step: it points at what is wanted.
  if (last.inputs.length !== 1 || last.op.case !== undefined) throw invalid('a definition without a result');
  const reader = new GraphReader(steps, definition);
  const { digest, index } = last.inputs[0]!;
  const edge = { vertex: reader.read(digest), output: outputIndex(index) };
  for (const [theirs, ours] of reader.done) names?.set(theirs, ours.digest);
  return edge;
}

/** Without recursion: a chain of steps may be as long as a definition. */
class GraphReader {
  readonly done = new Map<string, Vertex>();
  readonly #steps: ReadonlyMap<string, Uint8Array>;
  readonly #definition: Definition;

  constructor(steps: ReadonlyMap<string, Uint8Array>, definition: Definition) {
    this.#steps = steps;
    this.#definition = definition;
  }

  read(digest: string): Vertex {
    const open: { digest: string; op: PbOp }[] = [this.#open(digest)];
    const entered = new Set([digest]);
    while (open.length > 0) {
      const { digest: current, op } = open.at(-1)!;
      const missing = op.inputs.find((input) => !this.done.has(input.digest));
      if (missing) {
        if (entered.has(missing.digest)) throw invalid('a definition that goes round in circles');
        entered.add(missing.digest);
        open.push(this.#open(missing.digest));
      } else {
        this.done.set(current, this.#make(current, op));
        open.pop();
      }
    }
    return this.done.get(digest)!;
  }

  #open(digest: string): { digest: string; op: PbOp } {
    const bytes = this.#steps.get(digest);
    if (!bytes) throw invalid(`invalid missing input digest ${digest.slice(0, 100)}`);
    return { digest, op: parseOp(bytes) };
  }

  #make(digest: string, pb: PbOp): Vertex {
    const { op, inputs } = opFromPb(pb);
    const edges = inputs.map((at) => {
      const input = pb.inputs[at]!;
      return { vertex: this.done.get(input.digest)!, output: outputIndex(input.index) };
    });
    const platform = pb.platform && platformFromPb(pb.platform);
    const metadata = this.#metadata(digest, stepName(op, edges));
    return vertex(op, edges, { ...(platform && { platform }), metadata });
  }

  #metadata(digest: string, name: string): VertexMetadata {
    const pb: OpMetadata | undefined = this.#definition.metadata[digest];
    const group = pb?.progressGroup;
    const resources = pb?.linuxResources && resourcesFromPb(pb.linuxResources);
    const [source, ...otherSources] = this.#sources(digest);
    return {
      name: pb?.description['llb.customname'] || name,
      ...(pb?.ignoreCache && { ignoreCache: true }),
      ...(resources && { resources }),
      ...(group && { progressGroup: { id: group.id, name: group.name, weak: group.weak } }),
      ...(source && { source }),
      ...(otherSources.length > 0 && { otherSources }),
    };
  }

  #sources(digest: string): SourceRange[] {
    const source = this.#definition.Source;
    const locations = source?.locations[digest]?.locations.slice(0, MAX_LOCATIONS) ?? [];
    return locations.flatMap(({ sourceIndex, ranges }) => {
      const info = source?.infos[sourceIndex];
      return info ? [{ info: sourceInfoFromPb(info), ranges: rangesFromPb(ranges) }] : [];
    });
  }
}

/** Of one step; more than anybody reads. */
const MAX_LOCATIONS = 100;

function parseOp(bytes: Uint8Array): PbOp {
  try {
    return fromBinary(OpSchema, bytes);
  } catch (cause) {
    throw invalid('a definition that cannot be read', { cause });
  }
}

function outputIndex(index: bigint): number {
  if (index < 0n || index > 10_000n) throw invalid(`an output that cannot be: ${index}`);
  return Number(index);
}
