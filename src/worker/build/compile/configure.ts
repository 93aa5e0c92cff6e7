import { posix } from 'node:path';
import type { RunConfig } from '#oci/image-config.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import { expand, expandWords, type Variables } from '../dockerfile/expansion.ts';
import type { CommandInstruction, Instruction } from '../dockerfile/instructions.ts';
import { parsePorts } from './ports.ts';
import { withEnv } from './stage-state.ts';

/** What an instruction makes of an image's configuration. */
export interface Configured {
  readonly config: RunConfig;
  readonly author?: string;
  /** As `docker history` shows it. */
  readonly createdBy: string;
  /** CMD was set. */
  readonly cmdSet?: boolean;
}

export interface ConfigureContext {
  readonly variables: Variables;
  readonly escapeToken: string;
  readonly shell: readonly string[];
  readonly cmdSet: boolean;
}

/** Instructions that change nothing but the configuration. */
export type ConfigInstruction = Exclude<
  Instruction,
  { readonly name: 'RUN' } | { readonly name: 'COPY' | 'ADD' } | { readonly name: 'ARG' }
>;

/** Applies an instruction to a configuration. Throws `DockerfileError`. */
export function configure(
  config: RunConfig,
  instruction: ConfigInstruction,
  context: ConfigureContext,
): Configured {
  const expanded = (word: string) => expand(word, context.variables, context);
  switch (instruction.name) {
    case 'ENV':
    case 'LABEL': {
      const pairs = instruction.literal
        ? instruction.pairs
        : instruction.pairs.map(([name, value]) => [expanded(name), expanded(value)] as const);
      const text = pairs.map(([name, value]) => `${name}=${value}`).join(' ');
      const createdBy = nop(` ${instruction.name} ${text}`);
      if (instruction.name === 'ENV')
        return { config: { ...config, Env: withEnv(config.Env ?? [], pairs) }, createdBy };
      return { config: { ...config, Labels: { ...config.Labels, ...Object.fromEntries(pairs) } }, createdBy };
    }
    case 'CMD':
    case 'ENTRYPOINT':
      return configureCommand(config, instruction, context);
    case 'EXPOSE': {
      const ports = instruction.items.flatMap((item) => expandWords(item, context.variables, context));
      const exposed = Object.fromEntries(parsePorts(ports).map((port) => [port, {}]));
      return {
        config: { ...config, ExposedPorts: { ...config.ExposedPorts, ...exposed } },
        createdBy: nop(` EXPOSE ${ports.join(' ')}`),
      };
    }
    case 'VOLUME': {
      const volumes = instruction.items.map(expanded).filter(Boolean);
      return {
        config: {
          ...config,
          Volumes: { ...config.Volumes, ...Object.fromEntries(volumes.map((path) => [path, {}])) },
        },
        createdBy: nop(` VOLUME [${volumes.join(' ')}]`),
      };
    }
    case 'WORKDIR': {
      const path = posix.resolve('/', config.WorkingDir || '/', expanded(instruction.value));
      return { config: { ...config, WorkingDir: path }, createdBy: nop(`WORKDIR ${path}`) };
    }
    case 'USER': {
      const user = expanded(instruction.value);
      return { config: { ...config, User: user }, createdBy: nop(` USER ${user}`) };
    }
    case 'STOPSIGNAL': {
      const signal = expanded(instruction.value);
      if (!/^(?:(?:SIG)?[A-Z][A-Z0-9+-]*|\d{1,2})$/i.test(signal)) {
        throw new DockerfileError(`Invalid signal: ${signal}`);
      }
      return { config: { ...config, StopSignal: signal }, createdBy: nop(` STOPSIGNAL ${signal}`) };
    }
    case 'MAINTAINER':
      return { config, author: instruction.value, createdBy: nop(` MAINTAINER ${instruction.value}`) };
    case 'ONBUILD':
      return {
        config: { ...config, OnBuild: [...(config.OnBuild ?? []), instruction.trigger] },
        createdBy: nop(` ONBUILD ${instruction.trigger}`),
      };
    case 'SHELL':
      return {
        config: { ...config, Shell: instruction.shell },
        createdBy: nop(` SHELL [${instruction.shell.join(' ')}]`),
      };
    case 'HEALTHCHECK':
      return {
        config: { ...config, Healthcheck: instruction.healthcheck },
        createdBy: nop(` ${instruction.text.replace(/^\S+/, 'HEALTHCHECK')}`),
      };
  }
}

/** History's mark for an instruction that ran no command. */
export function nop(text: string): string {
  return `/bin/sh -c #(nop) ${text}`;
}

function configureCommand(
  config: RunConfig,
  { name, command }: CommandInstruction,
  { shell, cmdSet }: ConfigureContext,
): Configured {
  const words =
    command.form === 'shell' && command.words.length > 0 ? [...shell, ...command.words] : command.words;
  const quoted = words.map((word) => JSON.stringify(word)).join(' ');
  const createdBy = nop(` ${name} [${quoted}]`);
  if (name === 'CMD') return { config: { ...config, Cmd: words }, createdBy, cmdSet: true };
  const entrypoint = words.length > 0 ? words : null;
  // A command of the base image is for its entry point, not for this one.
  return { config: { ...config, Entrypoint: entrypoint, ...(!cmdSet && { Cmd: null }) }, createdBy };
}
