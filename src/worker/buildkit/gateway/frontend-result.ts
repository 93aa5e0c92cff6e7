import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalid, unsupported } from '#errors/errors.ts';
import type { FrontendResult } from '#worker/build/frontend/frontend.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';
import { writeDefinition } from '../definition/write-definition.ts';
import type {
  Result,
  ResultSchema,
  SolveResponseSchema,
} from '../proto/github.com/moby/buildkit/frontend/gateway/pb/gateway_pb.ts';
import type { BridgeState } from './bridge-state.ts';

/** What the client said that it can take. */
interface Wanted {
  readonly allowResultReturn: boolean;
  readonly allowResultArrayRef: boolean;
}

/** One result goes alone, several by their platforms. */
export function resultToPb(
  { refs, metadata }: FrontendResult,
  state: BridgeState,
  { allowResultReturn, allowResultArrayRef }: Wanted,
): MessageInitShape<typeof SolveResponseSchema> {
  const alone = refs.size === 0 || (refs.size === 1 && refs.has(''));
  if (!alone && !allowResultReturn) throw invalid('solve did not return default result');
  const ids = new Map([...refs].map(([name, edge]) => [name, state.add(edge)]));
  const id = alone ? (ids.get('') ?? '') : '';
  const ref = (name: string) => ({ id: ids.get(name) ?? '', def: definitionOf(refs.get(name), state) });
  const result: MessageInitShape<typeof ResultSchema>['result'] = alone
    ? allowResultArrayRef
      ? { case: 'ref', value: ref('') }
      : { case: 'refDeprecated', value: id }
    : allowResultArrayRef
      ? {
          case: 'refs',
          value: { refs: Object.fromEntries([...ids.keys()].map((name) => [name, ref(name)])) },
        }
      : { case: 'refsDeprecated', value: { refs: Object.fromEntries(ids) } };
  const answer = { result, metadata: Object.fromEntries(metadata) };
  return { result: answer, ...(!allowResultReturn && { ref: id }) };
}

/** Throws `invalid` for results that this build has not given. */
export function resultFromPb({ result, metadata, attestations }: Result, state: BridgeState): FrontendResult {
  if (Object.values(attestations).some(({ attestation }) => attestation.length > 0)) {
    throw unsupported("attestations of a client's own frontend are not supported");
  }
  return { refs: new Map(refsOf(result, state)), metadata: new Map(Object.entries(metadata)) };
}

function refsOf(result: Result['result'], state: BridgeState): [string, Edge | undefined][] {
  switch (result.case) {
    case 'ref':
      return [['', state.find(result.value.id)]];
    case 'refDeprecated':
      return [['', state.find(result.value)]];
    case 'refs':
      return Object.entries(result.value.refs).map(([name, { id }]) => [name, state.find(id)]);
    case 'refsDeprecated':
      return Object.entries(result.value.refs).map(([name, id]) => [name, state.find(id)]);
    default:
      return [['', undefined]];
  }
}

/** Of use to clients that hand it to another build; what has none can be had by its name alone. */
function definitionOf(edge: Edge | undefined, state: BridgeState) {
  try {
    return edge && writeDefinition(edge, state.digests);
  } catch {
    return undefined;
  }
}
