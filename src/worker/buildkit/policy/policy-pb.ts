import { invalid } from '#errors/errors.ts';
import type { PolicyRule, SourcePolicy, SourceSelector } from '#worker/build/policy/source-policy.ts';
import {
  AttrMatch,
  MatchType,
  type Policy,
  PolicyAction,
  type Rule,
} from '../proto/github.com/moby/buildkit/sourcepolicy/pb/policy_pb.ts';

const ACTIONS: Readonly<Record<number, PolicyRule['action']>> = {
  [PolicyAction.ALLOW]: 'allow',
  [PolicyAction.DENY]: 'deny',
  [PolicyAction.CONVERT]: 'convert',
};
const TYPES: Readonly<Record<number, SourceSelector['type']>> = {
  [MatchType.WILDCARD]: 'wildcard',
  [MatchType.EXACT]: 'exact',
  [MatchType.REGEX]: 'regex',
};
const CONDITIONS: Readonly<Record<number, SourceSelector['constraints'][number]['condition']>> = {
  [AttrMatch.EQUAL]: 'equal',
  [AttrMatch.NOTEQUAL]: 'not-equal',
  [AttrMatch.MATCHES]: 'matches',
};

/** Throws `invalid`. */
export function policyFromPb({ rules }: Policy): SourcePolicy {
  return { rules: rules.map(ruleFromPb) };
}

function ruleFromPb({ action, selector, updates }: Rule): PolicyRule {
  if (!selector) throw invalid('invalid nil selector in policy');
  const { identifier, constraints } = selector;
  // What clients of another version send is not taken for something else.
  const type = TYPES[selector.matchType];
  if (type === undefined) throw invalid(`unknown match type: ${selector.matchType}`);
  return {
    action: ACTIONS[action] ?? action,
    selector: {
      identifier,
      type,
      constraints: constraints.map(({ key, value, condition: number }) => {
        const condition = CONDITIONS[number];
        if (condition === undefined) throw invalid(`unknown attr condition: ${number}`);
        return { key, value, condition };
      }),
    },
    ...(updates && { update: { identifier: updates.identifier, attrs: updates.attrs } }),
  };
}
