import type { FromInstruction, Instruction, Stage, Written } from '../instructions.ts';
import type { EmptyContinuation } from '../lexer.ts';
import type { Linter } from './linter.ts';
import { RULES } from './rules.ts';

const RESERVED_STAGES: readonly string[] = ['context', 'scratch'];

export function checkContinuations(found: readonly EmptyContinuation[], linter: Linter): void {
  for (const { range } of found) linter.run(RULES.NoEmptyContinuation, range);
}

/** What shows in an instruction alone. */
export function checkInstruction(instruction: Instruction | FromInstruction, parent: Linter): void {
  const linter = parent.forComments(instruction.comments);
  if (instruction.name === 'MAINTAINER') linter.run(RULES.MaintainerDeprecated, instruction.range);
  else if (instruction.name === 'FROM') checkFrom(instruction, linter);
  else if (instruction.name === 'ARG') {
    checkDescription(
      instruction,
      instruction.args.map((arg) => arg.name),
      linter,
    );
  }
}

function checkFrom(from: FromInstruction, linter: Linter): void {
  const { keyword, stage, writtenStage, writtenAs, range } = from;
  if (stage === undefined || writtenStage === undefined || writtenAs === undefined) return;
  if (writtenStage !== stage) linter.run(RULES.StageNameCasing, range, writtenStage);
  const expected = keyword === keyword.toLowerCase() ? writtenAs.toLowerCase() : writtenAs.toUpperCase();
  if (isOfOneCase(keyword) && writtenAs !== expected)
    linter.run(RULES.FromAsCasing, range, keyword, writtenAs);
  checkDescription(from, [stage], linter);
}

/** A comment right above an ARG or a stage is taken for its description. */
function checkDescription(
  written: Written & { name: string },
  names: readonly string[],
  linter: Linter,
): void {
  const [first] = written.comments.at(-1)?.split(' ', 1) ?? [];
  if (first === undefined || names.includes(first)) return;
  const example = names.length > 1 ? '<arg_key>' : names[0]!;
  linter.run(RULES.InvalidDefinitionDescription, written.range, written.name, example);
}

/** What shows when all stages are known. */
export function checkStages(stages: readonly Stage[], linter: Linter): void {
  checkStageNames(stages, linter);
  checkCasing(stages, linter);
}

function checkStageNames(stages: readonly Stage[], linter: Linter): void {
  const seen = new Set<string>();
  for (const { from } of stages) {
    if (from.stage === undefined) continue;
    if (RESERVED_STAGES.includes(from.stage)) linter.run(RULES.ReservedStageName, from.range, from.stage);
    if (seen.has(from.stage)) linter.run(RULES.DuplicateStageName, from.range, from.stage);
    seen.add(from.stage);
  }
}

/** The case of most keywords is the right one. ARGs before the first stage do not count. */
function checkCasing(stages: readonly Stage[], linter: Linter): void {
  const all = stages.flatMap(({ from, instructions }): Written[] => [from, ...instructions]);
  const counted = all.filter(({ keyword }) => isOfOneCase(keyword));
  const lower = counted.filter(({ keyword }) => keyword === keyword.toLowerCase()).length;
  const casing = lower > counted.length - lower ? 'lowercase' : 'uppercase';
  for (const { keyword, range } of all) {
    const right = casing === 'lowercase' ? keyword.toLowerCase() : keyword.toUpperCase();
    if (keyword !== right) linter.run(RULES.ConsistentInstructionCasing, range, keyword, casing);
  }
}

function isOfOneCase(keyword: string): boolean {
  return keyword === keyword.toLowerCase() || keyword === keyword.toUpperCase();
}
