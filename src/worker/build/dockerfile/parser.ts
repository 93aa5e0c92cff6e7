import { type Directives, detectSyntax, findDirective } from './directives.ts';
import { DockerfileError, locate, located } from './dockerfile-error.ts';
import type { ArgInstruction, FromInstruction, Instruction, Stage } from './instructions.ts';
import { type EmptyContinuation, lex } from './lexer.ts';
import type { Linter } from './lint/linter.ts';
import { checkContinuations, checkInstruction, checkStages } from './lint/written-checks.ts';
import { parseInstruction } from './parse-instruction.ts';
import { linesOf } from './ranges.ts';
import type { PlacedStatement } from './statement.ts';

export interface Dockerfile {
  readonly directives: Directives;
  /** ARG before the first FROM: global, for FROM lines and for stages that name them again. */
  readonly globalArgs: readonly ArgInstruction[];
  /** At least one. Names may repeat; the last stage of a name is meant. */
  readonly stages: readonly Stage[];
  readonly emptyContinuations: readonly EmptyContinuation[];
}

/**
 * Reads a Dockerfile (Dockerfile reference, syntax 1.26). `linter` hears of what can be seen without compiling it, also
 * of a file that is wrong further down. Throws `DockerfileError`, and nothing else.
 */
export function parseDockerfile(text: string, linter?: Linter): Dockerfile {
  const { escape: escapeToken, statements, emptyContinuations } = lex(text);
  if (linter) checkContinuations(emptyContinuations, linter);
  const globalArgs: ArgInstruction[] = [];
  const stages: { from: Stage['from']; instructions: Instruction[] }[] = [];
  for (const statement of statements) {
    const instruction = parsePlaced(statement);
    if (linter) checkInstruction(instruction, linter);
    if (instruction.name === 'FROM') stages.push({ from: instruction, instructions: [] });
    else if (stages.length > 0) stages.at(-1)!.instructions.push(instruction);
    else if (instruction.name === 'ARG') globalArgs.push(instruction);
    else throw new DockerfileError('no build stage in current context', statement.range);
  }
  if (stages.length === 0) {
    throw new DockerfileError('dockerfile contains no stages to build', statements.at(-1)!.range);
  }
  if (linter) checkStages(stages, linter);
  return { directives: directivesOf(text, escapeToken), globalArgs, stages, emptyContinuations };
}

/**
 * Reads lines that stand for themselves: ONBUILD triggers and `--change`. `at`: what places are given for all of
 * it, such as the FROM that brought the triggers. Throws `DockerfileError`.
 */
export function parseFragment(text: string, at?: { readonly line: number }): Instruction[] {
  const place = at && linesOf(at.line);
  return lex(text).statements.map((statement) => {
    const placed = place
      ? { ...statement, range: place, flagRanges: statement.flags.map(() => place) }
      : statement;
    const instruction = locate(placed.range, () => parseInstruction(placed));
    if (instruction.name === 'FROM') throw new DockerfileError("FROM isn't allowed here", placed.range);
    return instruction;
  });
}

function parsePlaced(statement: PlacedStatement): Instruction | FromInstruction {
  try {
    return parseInstruction(statement);
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    const line = statement.range.start.line;
    const message = `dockerfile parse error on line ${line}: ${error.message}`;
    throw located(new DockerfileError(message, error.ranges), statement.range);
  }
}

function directivesOf(text: string, escapeToken: '\\' | '`'): Directives {
  const syntax = detectSyntax(text)?.commandLine;
  const check = findDirective('check', text)?.value;
  return {
    escape: escapeToken,
    ...(syntax !== undefined && { syntax }),
    ...(check !== undefined && { check }),
  };
}
