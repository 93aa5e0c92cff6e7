import type { Healthcheck } from '#oci/image-config.ts';
import { parseSignal } from '#worker/containers/signals.ts';
import { DockerfileError } from '../../dockerfile/dockerfile-error.ts';
import { expandTracked } from '../../dockerfile/expansion.ts';
import { goQuote } from '../../dockerfile/go-quote.ts';
import type {
  CommandInstruction,
  HealthcheckInstruction,
  Instruction,
  ListInstruction,
  PairsInstruction,
  ValueInstruction,
} from '../../dockerfile/instructions.ts';
import {
  checkPairs,
  checkPort,
  checkRepeated,
  checkSecretName,
  checkShellForm,
} from '../../dockerfile/lint/stage-checks.ts';
import { setVariable, shellOf } from '../image/image.ts';
import { type Compilation, expandIn } from './compilation.ts';
import { readPortSpec } from './expose.ts';
import { goDuration } from './go-duration.ts';
import { addHistory } from './history.ts';
import type { Stage } from './stage.ts';

/** Instructions that change the configuration and no files. */
export type ConfigInstruction = Exclude<
  Instruction,
  { readonly name: 'RUN' | 'COPY' | 'ADD' | 'WORKDIR' | 'ARG' | 'STOPSIGNAL' | 'MAINTAINER' | 'USER' }
>;

/** ENV, LABEL, CMD, ENTRYPOINT, EXPOSE, VOLUME, ONBUILD, SHELL, HEALTHCHECK. Throws `DockerfileError`. */
export function compileConfig(compilation: Compilation, stage: Stage, instruction: ConfigInstruction): void {
  const { config } = stage.image;
  switch (instruction.name) {
    case 'ENV':
    case 'LABEL':
      compilePairs(compilation, stage, instruction);
      return;
    case 'CMD':
    case 'ENTRYPOINT':
      compileCommand(compilation, stage, instruction);
      return;
    case 'EXPOSE':
      compileExpose(compilation, stage, instruction);
      return;
    case 'VOLUME':
      compileVolume(compilation, stage, instruction);
      return;
    case 'ONBUILD':
      config.OnBuild = [...(config.OnBuild ?? []), instruction.trigger];
      return;
    case 'SHELL':
      config.Shell = instruction.shell;
      addHistory(compilation, stage, `SHELL [${instruction.shell.join(' ')}]`);
      return;
    case 'HEALTHCHECK':
      compileHealthcheck(compilation, stage, instruction);
      return;
  }
}

/** USER, STOPSIGNAL, MAINTAINER. Throws `DockerfileError`. */
export function compileValue(compilation: Compilation, stage: Stage, instruction: ValueInstruction): void {
  const { image } = stage;
  const value =
    instruction.name === 'MAINTAINER'
      ? instruction.value
      : expandIn(compilation, stage, instruction, instruction.value);
  if (instruction.name === 'USER') {
    image.config.User = value;
    stage.user = value;
  } else if (instruction.name === 'STOPSIGNAL') {
    refuseUnknownSignal(value);
    image.config.StopSignal = value;
  } else image.author = value;
  addHistory(compilation, stage, `${instruction.name} ${value}`);
}

function compilePairs(compilation: Compilation, stage: Stage, instruction: PairsInstruction): void {
  const { config } = stage.image;
  const expand = (word: string) =>
    instruction.literal ? word : expandIn(compilation, stage, instruction, word);
  // All of a line see what was set before it.
  const pairs = instruction.pairs.map(([name, value]) => [expand(name), expand(value)] as const);
  checkPairs(instruction, compilation.linter);
  for (const [name, value] of pairs) {
    if (instruction.name === 'LABEL') {
      config.Labels ??= new Map();
      config.Labels.set(name, value);
      continue;
    }
    checkSecretName(instruction, name, compilation.linter);
    stage.environment.set(name, value);
    setVariable(config, name, value);
  }
  const shown = pairs.map(([name, value]) => `${name}=${value}`);
  addHistory(compilation, stage, [instruction.name, ...shown].join(' '));
}

function compileCommand(compilation: Compilation, stage: Stage, instruction: CommandInstruction): void {
  const { name, command, range } = instruction;
  const { config } = stage.image;
  checkRepeated(instruction, stage.lastOf.get(name), compilation.linter);
  const inShell = command.form === 'shell';
  if (inShell && !config.Shell?.length) checkShellForm(instruction, compilation.linter);
  const words = inShell ? [...shellOf(stage.image), command.words.join(' ')] : command.words;
  if (name === 'CMD') {
    config.Cmd = words;
    config.ArgsEscaped = true;
  } else {
    config.Entrypoint = words;
    // A command of the base image is for its entry point, not for this one.
    if (!stage.lastOf.has('CMD')) delete config.Cmd;
  }
  stage.lastOf.set(name, range);
  addHistory(compilation, stage, `${name} [${words.map(goQuote).join(' ')}]`);
}

function compileExpose(compilation: Compilation, stage: Stage, instruction: ListInstruction): void {
  const { config } = stage.image;
  const { escapeToken } = compilation;
  const variables = (name: string) => stage.environment.get(name);
  const words = instruction.items.flatMap((item) => expandTracked(item, variables, { escapeToken }).words);
  const ports = words.flatMap((word) => {
    const spec = readPortSpec(word);
    checkPort(instruction, word, spec, compilation.linter);
    return spec.ports;
  });
  config.ExposedPorts ??= new Set();
  for (const port of ports) config.ExposedPorts.add(port);
  addHistory(compilation, stage, `EXPOSE [${ports.join(' ')}]`);
}

function compileVolume(compilation: Compilation, stage: Stage, instruction: ListInstruction): void {
  const { config } = stage.image;
  const volumes = instruction.items.map((item) => expandIn(compilation, stage, instruction, item));
  config.Volumes ??= new Set();
  for (const volume of volumes) {
    if (volume === '') throw new DockerfileError('VOLUME specified can not be an empty string');
    config.Volumes.add(volume);
  }
  addHistory(compilation, stage, `VOLUME [${volumes.join(' ')}]`);
}

function compileHealthcheck(
  compilation: Compilation,
  stage: Stage,
  instruction: HealthcheckInstruction,
): void {
  const { healthcheck, range } = instruction;
  checkRepeated(instruction, stage.lastOf.get('HEALTHCHECK'), compilation.linter);
  stage.lastOf.set('HEALTHCHECK', range);
  stage.image.config.Healthcheck = healthcheck;
  addHistory(compilation, stage, `HEALTHCHECK ${goStruct(healthcheck)}`);
}

/** As Go's `%+v` prints it. */
function goStruct(healthcheck: Healthcheck): string {
  const {
    Test = [],
    Interval = 0,
    Timeout = 0,
    StartPeriod = 0,
    StartInterval = 0,
    Retries = 0,
  } = healthcheck;
  const times = Object.entries({ Interval, Timeout, StartPeriod, StartInterval });
  const shown = times.map(([name, value]) => `${name}:${goDuration(value)}`);
  return `{Test:[${Test.join(' ')}] ${shown.join(' ')} Retries:${Retries}}`;
}

function refuseUnknownSignal(signal: string): void {
  try {
    parseSignal(signal);
  } catch {
    throw new DockerfileError(`invalid signal: ${signal}`);
  }
}
