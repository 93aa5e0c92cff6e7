import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Range, SourceInfo } from '#worker/build/llb/source-info.ts';
import type {
  Definition,
  Range as PbRange,
  SourceInfo as PbSourceInfo,
  RangeSchema,
  SourceInfoSchema,
} from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

export function sourceInfoFromPb({ filename, data, language, definition }: PbSourceInfo): SourceInfo {
  return { filename, data, language, ...(definition && { definition }) };
}

export function sourceInfoToPb({
  filename,
  data,
  language,
  definition,
}: SourceInfo): MessageInitShape<typeof SourceInfoSchema> {
  return { filename, data, language, ...(definition && { definition: definition as Definition }) };
}

/** One without its end is of one line. */
export function rangesFromPb(ranges: readonly PbRange[]): Range[] {
  return ranges.map(({ start, end = start }) => ({
    start: { line: start?.line ?? 0, character: start?.character ?? 0 },
    end: { line: end?.line ?? 0, character: end?.character ?? 0 },
  }));
}

export function rangesToPb(ranges: readonly Range[]): MessageInitShape<typeof RangeSchema>[] {
  return ranges.map(({ start, end }) => ({ start, end }));
}
