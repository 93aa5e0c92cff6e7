import { create } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { SourceError } from '#worker/build/llb/source-error.ts';
import type { SourceRange } from '#worker/build/llb/source-info.ts';
import { SolveError } from '#worker/build/solve/solve-error.ts';
import { GrpcError, toGrpcError } from './grpc/grpc-error.ts';

/**
 * What to end a call with, with details as BuildKit's clients know them: they quote the lines that a `Source` names.
 * The values are JSON, whatever `Any` is meant for (typeurl of containerd, errdefs of BuildKit).
 */
export function buildError(error: unknown): GrpcError {
  const plain = toGrpcError(error);
  if (!(error instanceof SourceError)) return plain;
  const details = error.sources.filter(({ ranges }) => ranges.length > 0).map(sourceDetail);
  if (error instanceof SolveError) details.unshift(detail('Vertex', { digest: error.vertex.digest }));
  return new GrpcError(plain.code, plain.message, { details, cause: error });
}

function sourceDetail({ info, ranges }: SourceRange): Any {
  const { filename, data, language } = info;
  return detail('Source', {
    info: { filename, data: Buffer.from(data).toString('base64'), language },
    ranges,
  });
}

function detail(type: string, value: object): Any {
  const typeUrl = `github.com/moby/buildkit/errdefs.${type}+json`;
  return create(AnySchema, { typeUrl, value: Buffer.from(JSON.stringify(value)) });
}
