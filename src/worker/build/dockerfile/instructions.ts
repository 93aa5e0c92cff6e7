import type { Healthcheck } from '#oci/image-config.ts';
import type { Heredoc } from './heredoc.ts';

/** What every instruction has: where it stands and what `Step n/m` prints. */
interface Written {
  readonly line: number;
  readonly text: string;
}

/** Shell form (`words[0]` is the whole command line for a shell) or exec form. */
export interface CommandLine {
  readonly form: 'shell' | 'exec';
  readonly words: readonly string[];
}

/** A `--mount` of RUN, with its options as written (Dockerfile reference, "RUN --mount"). */
export interface RunMount {
  readonly type: 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';
  readonly options: ReadonlyMap<string, string>;
}

export interface RunInstruction extends Written {
  readonly name: 'RUN';
  readonly command: CommandLine;
  readonly heredocs: readonly Heredoc[];
  readonly mounts: readonly RunMount[];
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
}

export interface CopyInstruction extends Written {
  readonly name: 'COPY' | 'ADD';
  readonly sources: readonly string[];
  readonly destination: string;
  /** Files written in the Dockerfile itself; their sources are not among `sources`. */
  readonly heredocs: readonly Heredoc[];
  readonly from?: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly checksum?: string;
  readonly exclude: readonly string[];
  readonly link: boolean;
  readonly parents: boolean;
  readonly keepGitDir: boolean;
  readonly unpack?: boolean;
}

export interface ArgInstruction extends Written {
  readonly name: 'ARG';
  readonly args: readonly { readonly name: string; readonly value?: string }[];
}

export interface FromInstruction extends Written {
  readonly name: 'FROM';
  readonly image: string;
  /** Lower case. */
  readonly stage?: string;
  readonly platform?: string;
}

export interface PairsInstruction extends Written {
  readonly name: 'ENV' | 'LABEL';
  readonly pairs: readonly (readonly [name: string, value: string])[];
  /** Made by the API, not written in the Dockerfile: nothing in it is expanded. */
  readonly literal?: boolean;
}

export interface CommandInstruction extends Written {
  readonly name: 'CMD' | 'ENTRYPOINT';
  readonly command: CommandLine;
}

export interface ListInstruction extends Written {
  readonly name: 'EXPOSE' | 'VOLUME';
  readonly items: readonly string[];
}

export interface ValueInstruction extends Written {
  readonly name: 'WORKDIR' | 'USER' | 'STOPSIGNAL' | 'MAINTAINER';
  readonly value: string;
}

export interface OnbuildInstruction extends Written {
  readonly name: 'ONBUILD';
  readonly trigger: string;
}

export interface ShellInstruction extends Written {
  readonly name: 'SHELL';
  readonly shell: readonly string[];
}

export interface HealthcheckInstruction extends Written {
  readonly name: 'HEALTHCHECK';
  readonly healthcheck: Healthcheck;
}

/** An instruction of a stage. */
export type Instruction =
  | RunInstruction
  | CopyInstruction
  | ArgInstruction
  | PairsInstruction
  | CommandInstruction
  | ListInstruction
  | ValueInstruction
  | OnbuildInstruction
  | ShellInstruction
  | HealthcheckInstruction;

export interface Stage {
  readonly from: FromInstruction;
  readonly instructions: readonly Instruction[];
}
