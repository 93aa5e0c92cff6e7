import type { RunConfig } from '#oci/image-config.ts';
import { hostPlatform } from '#oci/platform.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import type { Instruction } from '../dockerfile/instructions.ts';
import { parseFragment } from '../dockerfile/parser.ts';
import type { Compilation } from './compile/compilation.ts';
import { compileInstruction } from './compile/compile-stage.ts';
import { Stage } from './compile/stage.ts';
import { Drafts } from './graph/draft.ts';
import { Environment } from './graph/environment.ts';
import { bareImage, encodeConfig, MEMBERS, readConfig } from './image/image.ts';
import { silentLinter } from './lint-warnings.ts';
import { readBuildOptions } from './options/build-options.ts';

const ALLOWED: ReadonlySet<Instruction['name']> = new Set([
  ...(['CMD', 'ENTRYPOINT', 'ENV', 'EXPOSE', 'HEALTHCHECK', 'LABEL', 'ONBUILD', 'STOPSIGNAL'] as const),
  ...(['USER', 'VOLUME', 'WORKDIR'] as const),
]);

/** Applies `docker commit --change` and `docker import --change`: Dockerfile lines for a configuration. Throws `invalid`. */
export function applyChanges(config: RunConfig, changes: readonly string[]): RunConfig {
  const instructions = changes.flatMap((change) => parseFragment(change));
  if (instructions.length === 0) return config;
  const target = hostPlatform();
  const stage = new Stage({ baseName: '', target });
  const { ArgsEscaped } = config;
  stage.image = { ...bareImage(target), config: readConfig(config) };
  stage.setVariables(config.Env ?? []);
  stage.directory = config.WorkingDir || '/';
  const compilation = emptyCompilation();
  for (const instruction of instructions) {
    if (!ALLOWED.has(instruction.name)) {
      throw new DockerfileError(`${instruction.name.toLowerCase()} is not a valid change command`);
    }
    compileInstruction(compilation, stage, { instruction, sources: [], onbuild: false });
  }
  const others = Object.entries(config).filter(([name]) => !MEMBERS.has(name as keyof RunConfig));
  const { ArgsEscaped: _, ...changed } = encodeConfig(stage.image.config);
  return { ...Object.fromEntries(others), ...changed, ...(ArgsEscaped && { ArgsEscaped }) };
}

/** A Dockerfile of which nothing but the configuration is wanted. */
function emptyCompilation(): Compilation {
  const platform = hostPlatform();
  return {
    options: readBuildOptions({}),
    source: { filename: '', data: new Uint8Array(), language: 'Dockerfile' },
    escapeToken: '\\',
    drafts: new Drafts(),
    buildPlatform: platform,
    targetPlatform: platform,
    globalArgs: new Environment(),
    context: new Drafts().add(() => {
      throw new TypeError('a change of a configuration reads no files');
    }),
    epoch: undefined,
    linter: silentLinter(),
    ignored: undefined,
    written: { history: 0 },
    observer: undefined,
  };
}
