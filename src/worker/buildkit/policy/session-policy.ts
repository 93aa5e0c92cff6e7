import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalid } from '#errors/errors.ts';
import type { PolicyAnswer, PolicyQuestion, PolicyVerifier } from '#worker/build/policy/policy-verifier.ts';
import { platformToPb } from '../definition/platform-pb.ts';
import { PolicyAction } from '../proto/github.com/moby/buildkit/sourcepolicy/pb/policy_pb.ts';
import type {
  CheckPolicyRequestSchema,
  CheckPolicyResponse,
} from '../proto/github.com/moby/buildkit/sourcepolicy/policysession/policysession_pb.ts';
import { sourceMetaToPb, sourceQuestion } from './source-meta-pb.ts';

/** Asks the client of a session. */
export type CheckPolicy = (
  request: MessageInitShape<typeof CheckPolicyRequestSchema>,
  options: { signal: AbortSignal },
) => Promise<CheckPolicyResponse>;

/** A policy that a client decides on itself, as `buildx build --policy` does. */
export class SessionPolicy implements PolicyVerifier {
  readonly #ask: CheckPolicy;

  constructor(ask: CheckPolicy) {
    this.#ask = ask;
  }

  async check({ platform, meta }: PolicyQuestion, options: { signal: AbortSignal }): Promise<PolicyAnswer> {
    const request = { Source: sourceMetaToPb(meta), ...(platform && { Platform: platformToPb(platform) }) };
    const { result } = await this.#ask(request, options);
    if (result.case === 'request') return { kind: 'more', request: sourceQuestion(result.value) };
    if (result.case !== 'decision') throw invalid('no decision in policy response');
    const { action, denyMessages, update } = result.value;
    switch (action) {
      case PolicyAction.ALLOW:
        return { kind: 'allow' };
      case PolicyAction.CONVERT: {
        if (!update) throw invalid('convert action requires updated source');
        const { identifier, attrs } = update;
        return { kind: 'convert', source: { kind: 'source', identifier, attrs } };
      }
      default: {
        const name = action === PolicyAction.DENY ? 'DENY' : String(action);
        return { kind: 'deny', action: name, messages: denyMessages.map(({ message }) => message) };
      }
    }
  }
}
