import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalid } from '#errors/errors.ts';
import type { Range, SourceInfo } from '#worker/build/llb/source-info.ts';
import type {
  Range as PbRange,
  SourceInfo as PbSourceInfo,
  RangeSchema,
  SourceInfoSchema,
} from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

export function sourceInfoFromPb({ filename, data, language }: PbSourceInfo): SourceInfo {
  return { filename, data, language };
}

export function sourceInfoToPb({
  filename,
  data,
  language,
}: SourceInfo): MessageInitShape<typeof SourceInfoSchema> {
  return { filename, data, language };
}

/** Throws `invalid` for a range without its ends. */
export function rangesFromPb(ranges: readonly PbRange[]): Range[] {
  return ranges.map(({ start, end }) => {
    if (!start || !end) throw invalid('invalid source range');
    return {
      start: { line: start.line, character: start.character },
      end: { line: end.line, character: end.character },
    };
  });
}

export function rangesToPb(ranges: readonly Range[]): MessageInitShape<typeof RangeSchema>[] {
  return ranges.map(({ start, end }) => ({ start, end }));
}
