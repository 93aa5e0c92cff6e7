import { cleanPath } from '../../context/clean-path.ts';
import type { PatternMatcher } from '../../context/pattern-matcher.ts';
import type { Range } from '../../llb/source-info.ts';
import type {
  CopyInstruction,
  Instruction,
  ListInstruction,
  PairsInstruction,
  ValueInstruction,
} from '../instructions.ts';
import { suggestionFor } from '../suggestion.ts';
import type { Linter } from './linter.ts';
import { RULES } from './rules.ts';

/** ARGs that a Dockerfile declares for the builder alone. */
const NOT_IN_ENVIRONMENT: readonly string[] = ['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE'];
const SECRET = /(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const NO_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i;
const WHOLE_CONTEXT: readonly string[] = ['*', '**', '**/*'];

/**
 * Variables of an instruction that nothing sets. `declared`: ARGs of the stage, which need not have a value; `known`:
 * the names that are set, of which one may have been meant.
 */
export function checkVariables(
  instruction: Instruction,
  unmatched: Iterable<string>,
  { declared, known }: { declared: ReadonlySet<string>; known: Iterable<string> },
  parent: Linter,
): void {
  const linter = parent.forComments(instruction.comments);
  for (const name of unmatched) {
    if (declared.has(name) || NOT_IN_ENVIRONMENT.includes(name)) continue;
    const near = suggestionFor(name, known);
    linter.run(RULES.UndefinedVar, instruction.range, name, ...(near === undefined ? [] : [near]));
  }
}

/** A name of an ARG or ENV that sounds like a secret's. */
export function checkSecretName(instruction: Instruction, name: string, linter: Linter): void {
  if (!SECRET.test(name) || NO_SECRET.test(name)) return;
  const scoped = linter.forComments(instruction.comments);
  scoped.run(RULES.SecretsUsedInArgOrEnv, instruction.range, instruction.name, name);
}

/** ENV or LABEL in the old form. */
export function checkPairs(instruction: PairsInstruction, linter: Linter): void {
  if (!instruction.legacy) return;
  const scoped = linter.forComments(instruction.comments);
  scoped.run(RULES.LegacyKeyValueFormat, instruction.range, instruction.keyword);
}

/** A relative WORKDIR, the first in its stage and those that it is based on. `path`: expanded. */
export function checkWorkdir(instruction: ValueInstruction, path: string, linter: Linter): void {
  if (path.startsWith('/')) return;
  linter.forComments(instruction.comments).run(RULES.WorkdirRelativePath, instruction.range, path);
}

/** CMD, ENTRYPOINT or HEALTHCHECK after another in its stage, which stands at `earlier` and is for nothing. */
export function checkRepeated(instruction: Instruction, earlier: Range | undefined, linter: Linter): void {
  if (earlier === undefined) return;
  const scoped = linter.forComments(instruction.comments);
  scoped.run(RULES.MultipleInstructionsDisallowed, earlier, instruction.keyword);
}

/** CMD or ENTRYPOINT in shell form, without a SHELL that was chosen. */
export function checkShellForm(instruction: Instruction, linter: Linter): void {
  const scoped = linter.forComments(instruction.comments);
  scoped.run(RULES.JSONArgsRecommended, instruction.range, instruction.keyword);
}

/** One port of EXPOSE. `text`: as written, expanded; `publishes`: with an address or a port of the host. */
export function checkPort(
  instruction: ListInstruction,
  text: string,
  { protocol, publishes }: { readonly protocol: string; readonly publishes: boolean },
  parent: Linter,
): void {
  const linter = parent.forComments(instruction.comments);
  if (protocol !== protocol.toLowerCase()) linter.run(RULES.ExposeProtoCasing, instruction.range, text);
  if (publishes) linter.run(RULES.ExposeInvalidFormat, instruction.range, text);
}

/**
 * A source of the context that the ignore file takes away. With exceptions in that file nobody can tell: a file may
 * come back in a directory that is away.
 */
export function checkIgnoredSource(
  copy: CopyInstruction,
  source: string,
  ignored: PatternMatcher | undefined,
  parent: Linter,
): void {
  if (!ignored || ignored.hasExceptions) return;
  const path = cleanPath(source);
  const isRoot = path === '.' || path === '/';
  if (isRoot && !ignored.patterns.some((pattern) => WHOLE_CONTEXT.includes(pattern))) return;
  if (!ignored.matches(path)) return;
  const linter = parent.forComments(copy.comments);
  linter.run(RULES.CopyIgnoredFile, copy.range, copy.name === 'ADD' ? 'Add' : 'Copy', path);
}
