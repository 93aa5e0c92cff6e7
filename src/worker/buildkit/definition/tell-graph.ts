import { fromBinary } from '@bufbuild/protobuf';
import { isKind } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import type { ToldGraph, ToldStep } from '#worker/build/attest/graph-words.ts';
import { withoutCredentials } from '#worker/build/attest/without-credentials.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';
import { type Definition, type Op, OpSchema } from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import { goJson } from './go-json.ts';
import { writeDefinition } from './write-definition.ts';

/** Whose directory it was is nobody's business, and another each time. */
const PRIVATE_ATTRS = ['local.session', 'local.unique', 'oci.session'];

/** A graph as BuildKit's provenance tells it (solver/llbsolver/provenance/buildconfig.go). */
export function tellGraph(edge: Edge): ToldGraph | undefined {
  const names = new Map<string, string>();
  const definition = definitionOf(edge, names);
  if (!definition) return undefined;
  const ids = new Map<string, string>();
  const steps = definition.def.map((bytes, at): ToldStep => {
    const id = `step${at}`;
    ids.set(digestOf(bytes), id);
    const op = fromBinary(OpSchema, bytes);
    const inputs = op.inputs.map(({ digest, index }) => `${ids.get(digest)}:${index}`);
    return { id, op: opJson(op), ...(inputs.length > 0 && { inputs }) };
  });
  return {
    steps,
    digestMapping: Object.fromEntries(ids),
    ids: new Map([...names].map(([theirs, ours]) => [ours, ids.get(theirs)!])),
  };
}

function opJson(op: Op): object {
  if (op.op.case === 'source') {
    const source = op.op.value;
    source.identifier = withoutCredentials(source.identifier);
    const kept = Object.entries(source.attrs).filter(([name]) => !PRIVATE_ATTRS.includes(name));
    source.attrs = Object.fromEntries(kept.map(([name, value]) => [name, withoutCredentials(value)]));
  }
  return goJson(OpSchema, { ...op, inputs: [] } as Op);
}

function definitionOf(edge: Edge, names: Map<string, string>): Definition | undefined {
  try {
    return writeDefinition(edge, names);
  } catch (error) {
    if (isKind(error, 'unsupported')) return undefined;
    throw error;
  }
}
