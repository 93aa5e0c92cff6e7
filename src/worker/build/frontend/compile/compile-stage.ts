import { SlipwayError } from '#errors/errors.ts';
import { DockerfileError, located } from '../../dockerfile/dockerfile-error.ts';
import { SourceError } from '../../llb/source-error.ts';
import { DEFAULT_PATH } from '../image/image.ts';
import { type Compilation, sourceOf } from './compilation.ts';
import { compileArg } from './compile-arg.ts';
import { compileConfig, compileValue } from './compile-config.ts';
import { compileCopy } from './compile-copy.ts';
import { compileRun } from './compile-run.ts';
import { compileWorkdir, enterDirectory } from './compile-workdir.ts';
import type { Command, Stage } from './stage.ts';

/** Compiles a stage whose base, and all that it reads from, are compiled. Throws with the lines it is about. */
export function compileStage(compilation: Compilation, stage: Stage): void {
  stage.inherit();
  stage.compiled = true;
  stage.platform ??= compilation.targetPlatform;
  const { config } = stage.image;
  const hasPath = config.Env?.some((entry) => entry.startsWith('PATH=')) ?? false;
  if (!hasPath && stage.platform.os !== 'windows')
    config.Env = [...(config.Env ?? []), `PATH=${DEFAULT_PATH}`];
  stage.setVariables(config.Env ?? []);
  if (config.WorkingDir) enterDirectory(stage, config.WorkingDir);
  if (config.User) stage.user = config.User;
  compilation.observer?.begun(stage);
  for (const command of stage.commands) {
    try {
      compileInstruction(compilation, stage, command);
      compilation.observer?.compiled(stage, command);
    } catch (error) {
      throw withPlace(compilation, command, error);
    }
  }
}

/** Throws `DockerfileError`, without the place. */
export function compileInstruction(compilation: Compilation, stage: Stage, command: Command): void {
  const { instruction } = command;
  switch (instruction.name) {
    case 'RUN':
      compileRun(compilation, stage, command);
      return;
    case 'COPY':
    case 'ADD':
      compileCopy(compilation, stage, command);
      return;
    case 'WORKDIR':
      compileWorkdir(compilation, stage, command);
      return;
    case 'ARG':
      compileArg(compilation, stage, instruction);
      return;
    case 'USER':
    case 'STOPSIGNAL':
    case 'MAINTAINER':
      compileValue(compilation, stage, instruction);
      return;
    default:
      compileConfig(compilation, stage, instruction);
      return;
  }
}

function withPlace(compilation: Compilation, { instruction }: Command, error: unknown): unknown {
  if (error instanceof DockerfileError) return located(error, instruction.range);
  if (!(error instanceof SlipwayError) || error instanceof SourceError) return error;
  return new SourceError(error, [sourceOf(compilation, instruction.range)]);
}
