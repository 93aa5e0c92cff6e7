import { fromBinary } from '@bufbuild/protobuf';
import { invalid } from '#errors/errors.ts';
import { SolveRequestSchema } from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { OpSchema } from '#worker/buildkit/proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import type { BuildWish } from '../scheduler/admit.ts';

const IMAGE = 'docker-image://';
/** Of a graph; what comes after says no more. */
const MAX_OPS = 2_000;

export interface SolveFacts {
  readonly reference: string;
  readonly session: string | undefined;
  /** '' where it does not say what it builds. */
  readonly project: string;
  readonly wish: BuildWish;
  /** It builds nothing: buildx asks what the builder can do before each build. */
  readonly isInternal: boolean;
}

/** What the message of a `Solve` call says of where the build should go. Throws `invalid` for what is no message. */
export function solveFacts(frame: Buffer): SolveFacts {
  if (frame[0] !== 0) throw invalid('compressed messages are not understood');
  const message = frame.subarray(5, 5 + frame.readUInt32BE(1));
  try {
    const { Ref, Session, FrontendAttrs, Definition, Internal } = fromBinary(SolveRequestSchema, message);
    const named = Object.entries(FrontendAttrs)
      .filter(([key, value]) => key.startsWith('context:') && value.startsWith(IMAGE))
      .map(([, value]) => value.slice(IMAGE.length));
    const images = [...new Set([...named, ...imagesOf(Definition?.def ?? [])])];
    const platforms = FrontendAttrs.platform?.split(',').filter(Boolean) ?? [];
    return {
      reference: Ref,
      session: Session || undefined,
      project: projectOf(FrontendAttrs),
      isInternal: Internal,
      wish: { ...(images.length > 0 && { images }), ...(platforms.length > 0 && { platforms }) },
    };
  } catch (cause) {
    throw invalid('this is no message', { cause });
  }
}

/** Where the files come from, if the request says so; else the session does. */
function projectOf(attributes: Readonly<Record<string, string>>): string {
  const source = attributes.context ?? attributes['vcs:source'];
  return source === undefined ? '' : `${source} ${attributes['vcs:localdir:context'] ?? ''}`.trim();
}

function imagesOf(definition: readonly Uint8Array[]): string[] {
  return definition.slice(0, MAX_OPS).flatMap((bytes) => {
    const { op } = fromBinary(OpSchema, bytes);
    if (op.case !== 'source' || !op.value.identifier.startsWith(IMAGE)) return [];
    return [op.value.identifier.slice(IMAGE.length)];
  });
}
