import { expand } from '../dockerfile/expansion.ts';
import type { Instruction } from '../dockerfile/instructions.ts';
import { argsPrefix } from '../frontend/compile/compile-run.ts';
import type { Stage } from '../frontend/compile/stage.ts';

/**
 * How history shows an instruction, as the classic builder wrote it. `written`: what was added to the history of the
 * stage; nothing by ONBUILD.
 */
export function createdBy(
  instruction: Instruction,
  written: string | undefined,
  { stage, escapeToken }: { stage: Stage; escapeToken: string },
): string {
  const plain = (written ?? '').replace(/ # buildkit$/, '');
  switch (instruction.name) {
    case 'RUN': {
      const command = plain.slice(['RUN', ...argsPrefix(stage), ''].join(' ').length);
      const args = argsOf(stage);
      return args.length > 0 ? `|${args.length} ${args.join(' ')} ${command}` : command;
    }
    case 'COPY':
    case 'ADD':
      return nop(`${plain} `);
    case 'WORKDIR':
      return nop(plain);
    case 'ARG': {
      // What was given is no part of the image.
      const variables = (name: string) => stage.environment.get(name);
      const shown = instruction.args.map(({ name, value }) =>
        value === undefined ? name : `${name}=${expand(value, variables, { escapeToken })}`,
      );
      return nop(` ARG ${shown.join(' ')}`);
    }
    case 'ONBUILD':
      return nop(` ONBUILD ${instruction.trigger}`);
    case 'HEALTHCHECK':
      return nop(` ${instruction.text.replace(/^\S+/, 'HEALTHCHECK')}`);
    case 'EXPOSE':
      return nop(` ${plain.replace(/^EXPOSE \[(.*)\]$/, 'EXPOSE $1')}`);
    default:
      return nop(` ${plain}`);
  }
}

/** ARGs that have a value, and that no ENV has another one for. */
function argsOf({ args, environment, image }: Stage): string[] {
  const fixed = new Set((image.config.Env ?? []).map((entry) => entry.split('=', 1)[0]));
  const names = [...new Set(args.map(({ name }) => name))].filter((name) => !fixed.has(name)).sort();
  return names.flatMap((name) => {
    const value = environment.get(name);
    return value === undefined ? [] : [`${name}=${value}`];
  });
}

/** History's mark for an instruction that ran no command. */
function nop(text: string): string {
  return `/bin/sh -c #(nop) ${text}`;
}
