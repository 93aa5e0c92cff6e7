import { unsupported } from '#errors/errors.ts';
import { asHeredocWord, chompTabs } from '../dockerfile/heredoc.ts';
import type { RunInstruction } from '../dockerfile/instructions.ts';
import type { ExecOp } from '../graph/op.ts';
import { envValue, type StageState, shellOf, withEnv } from './stage-state.ts';

export interface RunContext {
  /** `docker build --network`. */
  readonly network: string;
}

/** RUN as an op, and how history shows it. Throws `unsupported` for what only BuildKit has. */
export function compileRun(
  instruction: RunInstruction,
  state: StageState,
  context: RunContext,
): { op: ExecOp; createdBy: string } {
  if (instruction.mounts.length > 0) {
    throw unsupported(
      'the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled',
    );
  }
  if (instruction.security === 'insecure') throw unsupported('the --security option requires BuildKit');
  const { args, script } = commandOf(instruction, state);
  // ENV wins over ARG.
  const declared = [...state.args].filter(([name]) => envValue(state.config.Env, name) === undefined).sort();
  const env = withEnv(state.config.Env ?? [], declared);
  const volumes = Object.keys(state.config.Volumes ?? {}).sort();
  const shown = declared.map(([name, value]) => `${name}=${value}`);
  const prefix = shown.length > 0 ? `|${shown.length} ${shown.join(' ')} ` : '';
  return {
    op: {
      kind: 'exec',
      args,
      env,
      cwd: state.config.WorkingDir || '/',
      user: state.config.User ?? '',
      network: instruction.network === 'default' ? context.network : instruction.network,
      ...(script && { script }),
      ...(volumes.length > 0 && { volumes }),
    },
    createdBy: prefix + args.join(' '),
  };
}

function commandOf(
  { command, heredocs }: RunInstruction,
  state: StageState,
): Pick<ExecOp, 'args' | 'script'> {
  if (command.form === 'exec') return { args: command.words };
  const [line = ''] = command.words;
  const [heredoc] = heredocs;
  if (!heredoc) return { args: [...shellOf(state), line] };
  if (!asHeredocWord(line)) {
    // The heredocs are the shell's business: it gets them as they were written.
    const texts = heredocs.map(({ content, name }) => `\n${content}${name}`);
    return { args: [...shellOf(state), line + texts.join('')] };
  }
  const content = heredoc.chomp ? chompTabs(heredoc.content) : heredoc.content;
  if (!content.startsWith('#!')) return { args: [...shellOf(state), content] };
  return { args: [`/dev/pipes/${heredoc.name}`], script: { name: heredoc.name, content } };
}
