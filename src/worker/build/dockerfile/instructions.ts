import type { Healthcheck } from '#oci/image-config.ts';
import type { Range } from '../llb/source-info.ts';
import type { Heredoc } from './heredoc.ts';
import type { RunMount } from './run-mount.ts';

/** A `--name[=value]` as written, and where: its first line and column, though an escape may continue it. */
export interface WrittenFlag {
  /** With its dashes, without quotes and escapes. */
  readonly text: string;
  readonly range: Range;
}

/** What every instruction has: how it was written, and where. */
export interface Written {
  /** As written, in whatever case: lint messages repeat it. */
  readonly keyword: string;
  /** Continuation lines joined, comments dropped, heredoc contents left out: what `Step n/m` prints. */
  readonly text: string;
  /** The first line of `range`. */
  readonly line: number;
  /** Whole lines, with its heredocs. */
  readonly range: Range;
  readonly flags: readonly WrittenFlag[];
  /** The comment lines above it, without their `#`: descriptions of stages and ARGs, and `check=` for one instruction. */
  readonly comments: readonly string[];
}

/** Shell form (`words[0]` is the whole command line for a shell; no words: nothing was written) or exec form. */
export interface CommandLine {
  readonly form: 'shell' | 'exec';
  readonly words: readonly string[];
}

/** A device of RUN `--device`, by its CDI name. */
export interface RunDevice {
  readonly name: string;
  readonly required: boolean;
}

export interface RunInstruction extends Written {
  readonly name: 'RUN';
  readonly command: CommandLine;
  /** Contents as written; `<<-` is not chomped yet, for a shell that gets the document does that itself. */
  readonly heredocs: readonly Heredoc[];
  /** Not expanded yet: `resolveMount` gives them their meaning. */
  readonly mounts: readonly RunMount[];
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  readonly devices: readonly RunDevice[];
}

/** Words of it that expand: sources, destination, chown, chmod, checksum; not `from`, not `exclude`. */
export interface CopyInstruction extends Written {
  readonly name: 'COPY' | 'ADD';
  readonly sources: readonly string[];
  readonly destination: string;
  /** Files written in the Dockerfile itself, chomped; their words are not among `sources`. */
  readonly heredocs: readonly Heredoc[];
  readonly from?: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly checksum?: string;
  readonly exclude: readonly string[];
  readonly link: boolean;
  readonly parents: boolean;
  /** Left out when it was not said. */
  readonly keepGitDir?: boolean;
  /** Left out when it was not said: ADD then unpacks local archives only. */
  readonly unpack?: boolean;
}

export interface BuildArg {
  readonly name: string;
  /** The default; left out for `ARG name`, which takes what the build or a global ARG gives. */
  readonly value?: string;
  /** From a comment `# name description` above. */
  readonly description?: string;
}

export interface ArgInstruction extends Written {
  readonly name: 'ARG';
  readonly args: readonly BuildArg[];
}

export interface FromInstruction extends Written {
  readonly name: 'FROM';
  /** Not expanded. */
  readonly image: string;
  /** Lower case. */
  readonly stage?: string;
  /** The name and the word before it, as written. */
  readonly writtenStage?: string;
  readonly writtenAs?: string;
  /** Not expanded. */
  readonly platform?: string;
  /** From a comment `# stage description` above. */
  readonly description?: string;
}

export interface PairsInstruction extends Written {
  readonly name: 'ENV' | 'LABEL';
  readonly pairs: readonly (readonly [name: string, value: string])[];
  /** Written in the old form, `ENV name value` without an `=`. */
  readonly legacy: boolean;
  /** Made by the API, not written in the Dockerfile: nothing in it is expanded. */
  readonly literal?: boolean;
}

export interface CommandInstruction extends Written {
  readonly name: 'CMD' | 'ENTRYPOINT';
  readonly command: CommandLine;
}

/** EXPOSE's items are sorted, and each may expand to several words; VOLUME's expand to one each. */
export interface ListInstruction extends Written {
  readonly name: 'EXPOSE' | 'VOLUME';
  readonly items: readonly string[];
}

/** All but MAINTAINER's value expand. */
export interface ValueInstruction extends Written {
  readonly name: 'WORKDIR' | 'USER' | 'STOPSIGNAL' | 'MAINTAINER';
  readonly value: string;
}

export interface OnbuildInstruction extends Written {
  readonly name: 'ONBUILD';
  /** A Dockerfile line, with its heredocs. */
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
