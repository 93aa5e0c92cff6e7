import type { BuildArg } from '../../dockerfile/instructions.ts';
import type { Range } from '../../llb/source-info.ts';

export interface ArgUse {
  readonly arg: BuildArg;
  /** What it came to; '' for nothing. */
  readonly value: string;
  /** Other ARGs that its default is made of. */
  readonly dependencies: ReadonlySet<string>;
  readonly range: Range;
}

export interface ServiceUse {
  readonly required: boolean;
  readonly range: Range;
}

/** What can be given to a build of a stage: what `docker build --call=outline` lists. */
export class OutlineCapture {
  readonly args: Map<string, ArgUse>;
  readonly used: Set<string>;
  readonly secrets: Map<string, ServiceUse>;
  readonly ssh: Map<string, ServiceUse>;

  constructor(other?: OutlineCapture) {
    this.args = new Map(other?.args);
    this.used = new Set(other?.used);
    this.secrets = new Map(other?.secrets);
    this.ssh = new Map(other?.ssh);
  }
}
