import type { Directives } from './directives.ts';
import { atLine, DockerfileError } from './dockerfile-error.ts';
import type { ArgInstruction, Instruction, Stage } from './instructions.ts';
import { lex } from './lexer.ts';
import { parseInstruction } from './parse-instruction.ts';

export interface Dockerfile {
  readonly directives: Directives;
  /** ARG before the first FROM: global, for FROM lines and for stages that name them again. */
  readonly globalArgs: readonly ArgInstruction[];
  /** At least one. */
  readonly stages: readonly Stage[];
  readonly warnings: readonly string[];
}

/** Reads a Dockerfile (Dockerfile reference, syntax 1). Throws `DockerfileError`, and nothing else. */
export function parseDockerfile(text: string): Dockerfile {
  const { directives, lines, warnings } = lex(text);
  const globalArgs: ArgInstruction[] = [];
  const stages: { from: Stage['from']; instructions: Instruction[] }[] = [];
  for (const logical of lines) {
    const instruction = atLine(logical.line, () => parseInstruction(logical, directives.escape));
    if (instruction.name === 'FROM') stages.push({ from: instruction, instructions: [] });
    else if (stages.length > 0) stages.at(-1)!.instructions.push(instruction);
    else if (instruction.name === 'ARG') globalArgs.push(instruction);
    else throw new DockerfileError('no build stage in current context', logical.line);
  }
  if (lines.length === 0) throw new DockerfileError('file with no instructions');
  if (stages.length === 0) throw new DockerfileError('no build stage in current context');
  refuseRepeatedNames(stages);
  return { directives, globalArgs, stages, warnings };
}

/** Reads lines that stand for themselves: ONBUILD triggers and `--change`. Throws `DockerfileError`. */
export function parseFragment(text: string): Instruction[] {
  const { lines, directives } = lex(text);
  return lines.map((logical) => {
    const instruction = parseInstruction(logical, directives.escape);
    if (instruction.name === 'FROM') throw new DockerfileError("FROM isn't allowed here");
    return instruction;
  });
}

function refuseRepeatedNames(stages: readonly Stage[]): void {
  const seen = new Set<string>();
  for (const { from } of stages) {
    if (from.stage === undefined) continue;
    if (seen.has(from.stage)) {
      throw new DockerfileError(`duplicate name ${from.stage}`, from.line);
    }
    seen.add(from.stage);
  }
}
