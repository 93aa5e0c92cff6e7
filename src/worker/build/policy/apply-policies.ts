import { forbidden, invalid } from '#errors/errors.ts';
import type { SourceOp } from '../llb/op.ts';
import { formatSource, matchesExpression, matchesSource } from './source-pattern.ts';
import type { PolicyRule, SourcePolicy } from './source-policy.ts';

/** More than any policy has in a row, and few enough to end what goes round in circles. */
const MAX_CONVERSIONS = 20;

/** What takes a source's place: mostly itself. Throws `forbidden` for one that is denied. */
export function applyPolicies(policies: readonly SourcePolicy[], source: SourceOp): SourceOp {
  let current = source;
  for (let at = 0; at <= MAX_CONVERSIONS; at++) {
    const converted = readAll(policies, current);
    if (converted === undefined) return current;
    current = converted;
  }
  throw invalid('too many mutations on a single source: too many operations');
}

function readAll(policies: readonly SourcePolicy[], source: SourceOp): SourceOp | undefined {
  for (const policy of policies) {
    const converted = read(policy, source);
    if (converted !== undefined) return converted;
  }
  return undefined;
}

function read({ rules }: SourcePolicy, source: SourceOp): SourceOp | undefined {
  let denied = false;
  for (const rule of rules.filter((one) => matches(one, source))) {
    switch (rule.action) {
      case 'allow':
        denied = false;
        break;
      case 'deny':
        denied = true;
        break;
      case 'convert': {
        const converted = convert(rule, source);
        if (converted !== undefined) return converted;
        break;
      }
      default:
        throw invalid(
          `source policy: rule ${rule.action} ${rule.selector.identifier}: unknown type ${JSON.stringify(source.identifier)}`,
        );
    }
  }
  if (denied)
    throw forbidden(`source ${JSON.stringify(source.identifier)} denied by policy: source denied by policy`);
  return undefined;
}

function matches({ selector }: PolicyRule, { identifier, attrs }: SourceOp): boolean {
  const fits = selector.constraints.every(({ key, value, condition }) => {
    const given = attrs[key] ?? '';
    if (condition === 'matches') return matchesExpression(value, given);
    return (given === value) === (condition === 'equal');
  });
  return fits && matchesSource(selector, identifier);
}

/** undefined: it is what it was. */
function convert({ selector, update }: PolicyRule, source: SourceOp): SourceOp | undefined {
  if (!update) throw invalid('error mutating source policy: missing destination for convert rule');
  const template = update.identifier || selector.identifier;
  const identifier = formatSource(selector, source.identifier, template) || source.identifier;
  const same = Object.entries(update.attrs).every(([name, value]) => source.attrs[name] === value);
  if (identifier === source.identifier && same) return undefined;
  return { ...source, identifier, attrs: { ...source.attrs, ...update.attrs } };
}
