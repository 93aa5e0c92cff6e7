import { create } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { SourceError } from '#worker/build/llb/source-error.ts';
import type { SourceInfo, SourceRange } from '#worker/build/llb/source-info.ts';
import { PolicyDenial } from '#worker/build/policy/policy-denial.ts';
import { SolveError } from '#worker/build/solve/solve-error.ts';
import { writeDefinition } from './definition/write-definition.ts';
import { GrpcError, toGrpcError } from './grpc/grpc-error.ts';
import type { Definition } from './proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

/**
 * What to end a call with, with details as BuildKit's clients know them: they quote the lines that a `Source` names.
 * The values are JSON, whatever `Any` is meant for (typeurl of containerd, errdefs of BuildKit).
 */
export function buildError(error: unknown): GrpcError {
  const plain = toGrpcError(error);
  const denial = denialOf(error);
  if (denial && denial.messages.length > 0) return denied(plain, denial);
  if (!(error instanceof SourceError)) return plain;
  const details = error.sources.filter(({ ranges }) => ranges.length > 0).map(sourceDetail);
  if (error instanceof SolveError) details.unshift(detail('Vertex', { digest: error.vertex.digest }));
  return new GrpcError(plain.code, plain.message, { details, cause: error });
}

/** Errors of a frontend are wrapped on their way. */
function denialOf(error: unknown): PolicyDenial | undefined {
  for (let one = error; one instanceof Error; one = one.cause) if (one instanceof PolicyDenial) return one;
  return undefined;
}

function denied({ code, message }: GrpcError, denial: PolicyDenial): GrpcError {
  const decision = { action: 'DENY', denyMessages: denial.messages.map((text) => ({ message: text })) };
  const typeUrl = 'github.com/moby/buildkit/policysession.DecisionResponse+json';
  const value = Buffer.from(JSON.stringify(decision));
  return new GrpcError(code, message, { details: [create(AnySchema, { typeUrl, value })], cause: denial });
}

function sourceDetail({ info, ranges }: SourceRange): Any {
  const { filename, data, language } = info;
  const definition = definitionOf(info);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  return detail('Source', {
    info: {
      filename,
      data: base64(data),
      language,
      ...(definition && { definition: { def: definition.def.map(base64) } }),
    },
    ranges,
  });
}

/** How clients can have the file again: as they said, or the graph that it was read from here. */
function definitionOf({ definition, edge }: SourceInfo): Definition | undefined {
  if (definition || !edge) return definition as Definition | undefined;
  try {
    return writeDefinition(edge);
  } catch {
    // Not all that we do can be said in their words.
    return undefined;
  }
}

function detail(type: string, value: object): Any {
  const typeUrl = `github.com/moby/buildkit/errdefs.${type}+json`;
  return create(AnySchema, { typeUrl, value: Buffer.from(JSON.stringify(value)) });
}
