import { cleanPath } from '../../context/clean-path.ts';
import type { ValueInstruction } from '../../dockerfile/instructions.ts';
import { checkWorkdir } from '../../dockerfile/lint/stage-checks.ts';
import { fileEdge, readOwner } from '../graph/file-draft.ts';
import { joinPath } from '../paths.ts';
import { type Compilation, expandIn, shownPlatform, sourceOf } from './compilation.ts';
import { addHistory } from './history.ts';
import type { Command, Stage } from './stage.ts';
import { nameStep, shownInstruction } from './vertex-name.ts';

/** WORKDIR: makes the directory, for the user of the stage. Throws `DockerfileError`. */
export function compileWorkdir(compilation: Compilation, stage: Stage, command: Command): void {
  const instruction = command.instruction as ValueInstruction;
  const written = expandIn(compilation, stage, instruction, instruction.value);
  if (!stage.workdirSet) checkWorkdir(instruction, written, compilation.linter);
  stage.workdirSet = true;
  const directory = enterDirectory(stage, written);
  if (directory !== '/') makeDirectory(compilation, stage, command, directory);
  addHistory(compilation, stage, `WORKDIR ${directory}`, { layer: directory !== '/' });
}

/** What comes next happens there. An absolute path stays as it is written. */
export function enterDirectory(stage: Stage, path: string): string {
  const { config } = stage.image;
  const parent = joinPath('/', config.WorkingDir ?? '');
  const directory = path.startsWith('/') ? path : joinPath(parent, path);
  config.WorkingDir = directory;
  stage.directory = directory;
  return directory;
}

function makeDirectory(compilation: Compilation, stage: Stage, command: Command, directory: string): void {
  const { epoch, escapeToken, drafts } = compilation;
  const { environment, files: base } = stage;
  const { User } = stage.image.config;
  const { text, range } = command.instruction;
  const shown = shownInstruction(text, (name) => environment.get(name), { escapeToken });
  const platform = shownPlatform(compilation, stage.platform);
  const metadata = {
    name: nameStep(stage, shown, { platform, onbuild: command.onbuild, environment }),
    source: sourceOf(compilation, range),
  };
  const action = {
    type: 'mkdir',
    path: cleanPath(directory),
    mode: 0o755,
    makeParents: true,
    ...(User && { owner: readOwner(User) }),
    ...(epoch && { timestamp: BigInt(epoch.getTime()) * 1_000_000n }),
  } as const;
  stage.files = drafts.add(() => fileEdge(base, [action], metadata));
}
