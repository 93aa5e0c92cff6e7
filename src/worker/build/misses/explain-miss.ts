import type { FileChanges } from '../files/file-changes.ts';
import type { MissedInput, MissedStep } from '../solve/missed-step.ts';

import { memoOf, type StepMemo } from './step-memo.ts';

/** What differs between two digests of contents; undefined: that is not known any more. */
export type FindChanges = (before: string, after: string) => Promise<FileChanges | undefined>;

/**
 * Why a step is done, for people, compared with what it was when it was last done at its place. `buildArguments`: names of
 * those that the client has given.
 */
export async function explainMiss(
  step: MissedStep,
  before: StepMemo | undefined,
  { changes, buildArguments }: { changes: FindChanges; buildArguments: ReadonlySet<string> },
): Promise<string> {
  if (step.vertex.metadata.ignoreCache) return 'no cache: --no-cache';
  if (!before) return 'never built before';
  if (before.key === step.key) return 'built before, and pruned since';
  const now = memoOf(step);
  const reasons = changedParts(before.parts, now.parts, buildArguments);
  for (const [at, input] of step.inputs.entries()) {
    const earlier = before.inputs[at];
    if (!earlier || earlier.key === input.key) continue;
    const source = now.inputs[at]?.source;
    reasons.push(await changedInput(input, { before: earlier, source, changes }));
  }
  return reasons.join('; ') || 'an input changed';
}

function changedParts(
  before: StepMemo['parts'],
  now: StepMemo['parts'],
  buildArguments: ReadonlySet<string>,
): string[] {
  if (before[''] === now['']) return [];
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  const changed = names.filter((name) => name !== '' && before[name] !== now[name]);
  if (changed.length === 0) return ['the instruction changed'];
  return changed.map((name) => {
    const [, variable] = /^variable (.*)$/.exec(name) ?? [];
    if (variable === undefined) return `${name} changed`;
    return `${buildArguments.has(variable) ? 'build argument' : 'variable'} ${variable} changed`;
  });
}

async function changedInput(
  { vertex, key, byContent, ran, resolved }: MissedInput,
  given: { before: StepMemo['inputs'][number]; source: string | undefined; changes: FindChanges },
): Promise<string> {
  const { before, source, changes } = given;
  const { name } = vertex.metadata;
  if (byContent) {
    const found = await changes(before.key, key);
    return (found && textOf(found)) || `content of ${name} changed`;
  }
  if (ran) return `an input was rebuilt: ${name}`;
  if (source === undefined) return `an input changed: ${name}`;
  const reference = source.replace(/^docker-image:\/\//, '');
  if (before.source !== undefined && before.source !== source) {
    return `base image is now ${reference}, and was ${before.source.replace(/^docker-image:\/\//, '')}`;
  }
  const what = source.startsWith('docker-image://') ? `base image ${reference}` : reference;
  return resolved === undefined ? `${what} changed` : `${what} is now ${shortened(resolved)}`;
}

/** `content of package.json changed, src/x was added and 4 more`; empty for none. */
function textOf({ told, more }: FileChanges): string {
  return `${told.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function shortened(resolved: string): string {
  return resolved.replace(/^((?:sha256:)?[0-9a-f]{12})[0-9a-f]+$/, '$1…');
}
