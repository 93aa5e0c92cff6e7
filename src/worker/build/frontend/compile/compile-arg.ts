import type { ArgInstruction, BuildArg } from '../../dockerfile/instructions.ts';
import { checkSecretName } from '../../dockerfile/lint/stage-checks.ts';
import { type Compilation, expandIn } from './compilation.ts';
import { addHistory } from './history.ts';
import { SCAN_ARGS } from './scanned-stages.ts';
import type { Stage } from './stage.ts';

/** ARG in a stage. Throws `DockerfileError`. */
export function compileArg(compilation: Compilation, stage: Stage, instruction: ArgInstruction): void {
  const shown = instruction.args.map((arg) => {
    checkSecretName(instruction, arg.name, compilation.linter);
    const { value, isGlobal } = chooseValue(compilation, stage, instruction, arg);
    if (value !== undefined && !SCAN_ARGS.has(arg.name)) stage.environment.set(arg.name, value);
    if (!isGlobal) {
      stage.outline.args.set(arg.name, {
        arg,
        value: value ?? '',
        dependencies: new Set(),
        range: instruction.range,
      });
    }
    stage.outline.used.add(arg.name);
    stage.args.push({ name: arg.name, ...(value !== undefined && { value }) });
    return value === undefined ? arg.name : `${arg.name}=${value}`;
  });
  addHistory(compilation, stage, `ARG ${shown.join(' ')}`);
}

/** What was given wins over the default, and that over a global ARG. */
function chooseValue(
  compilation: Compilation,
  stage: Stage,
  instruction: ArgInstruction,
  { name, value }: BuildArg,
): { value: string | undefined; isGlobal: boolean } {
  const given = compilation.options.buildArgs.get(name);
  if (given !== undefined) return { value: given, isGlobal: false };
  if (value !== undefined)
    return { value: expandIn(compilation, stage, instruction, value), isGlobal: false };
  const global = compilation.globalArgs.get(name);
  return { value: global, isGlobal: global !== undefined };
}
