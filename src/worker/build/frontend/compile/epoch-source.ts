import { isDigest } from '#oci/digest.ts';
import type { Platform } from '#oci/platform.ts';
import { DockerfileError, locate } from '../../dockerfile/dockerfile-error.ts';
import { expandTracked } from '../../dockerfile/expansion.ts';
import type { CopyInstruction } from '../../dockerfile/instructions.ts';
import type { Dockerfile } from '../../dockerfile/parser.ts';
import type { Edge } from '../../llb/vertex.ts';
import { Environment } from '../graph/environment.ts';
import { gitEdge, httpEdge } from '../graph/sources.ts';
import type { MainContext } from '../inputs/main-context.ts';
import type { NamedContexts } from '../inputs/named-contexts.ts';
import { filenameOf, gitSourceOf, isHttpSource } from './remote-copy.ts';

const EPOCH = 'SOURCE_DATE_EPOCH';

export interface EpochSources {
  readonly dockerfile: Dockerfile;
  readonly context: Pick<MainContext, 'remoteSource'>;
  readonly contexts: Pick<NamedContexts, 'find'>;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly globals: Environment;
  readonly platform: Platform;
}

type Stage = Dockerfile['stages'][number];
type Expand = (word: string) => string;

/** What SOURCE_DATE_EPOCH names: the build's context, a named one, or a stage that is one download. */
export async function epochSource(name: string, sources: EpochSources): Promise<Edge | undefined> {
  const { dockerfile, context, contexts, platform } = sources;
  if (name === 'context') return context.remoteSource;
  const named = await contexts.find(name, platform)?.load();
  if (named) return named.files?.(undefined);
  const stage = dockerfile.stages.find(({ from }) => from.stage === name.toLowerCase());
  if (!stage) throw new DockerfileError(`invalid ${EPOCH}: ${name}`);
  return locate(stage.from.range, () => stageSource(stage, sources));
}

function stageSource({ from, instructions }: Stage, { dockerfile, buildArgs, globals }: EpochSources): Edge {
  const environment = new Environment(globals);
  environment.delete(EPOCH);
  const { escape: escapeToken } = dockerfile.directives;
  const expand = (word: string) =>
    expandTracked(word, (name) => environment.get(name), { escapeToken }).result;
  if (expand(from.image) !== 'scratch') throw new DockerfileError(`${EPOCH} stage must use FROM scratch`);
  let source: Edge | undefined;
  for (const instruction of instructions) {
    if (instruction.name === 'ARG') {
      for (const { name, value } of instruction.args) {
        const given = buildArgs.get(name) ?? (value === undefined ? undefined : expand(value));
        if (given !== undefined) environment.set(name, given);
      }
    } else if (instruction.name === 'ADD') {
      if (source) throw new DockerfileError(`${EPOCH} stage must contain exactly one remote ADD`);
      source = downloadOf(instruction, expand);
    } else {
      const why = `unsupported ${instruction.name} instruction`;
      throw new DockerfileError(`${EPOCH} stage does not meet source-only requirements: ${why}`);
    }
  }
  if (!source) throw new DockerfileError(`${EPOCH} stage must contain exactly one remote ADD`);
  return source;
}

function downloadOf({ sources, heredocs, checksum, keepGitDir }: CopyInstruction, expand: Expand): Edge {
  const [written, ...more] = sources;
  if (written === undefined || more.length > 0 || heredocs.length > 0) {
    throw new DockerfileError(`${EPOCH} stage must contain exactly one remote ADD source`);
  }
  const source = expand(written);
  const expected = checksum && expand(checksum);
  const metadata = { name: `[internal] resolve ${EPOCH} from ${source}` };
  if (isHttpSource(source)) {
    if (expected && !isDigest(expected)) {
      throw new DockerfileError(`invalid checksum digest format: ${expected}`);
    }
    return httpEdge(source, {
      filename: filenameOf(source),
      ...(expected && { checksum: expected }),
      metadata,
    });
  }
  const git = gitSourceOf(source);
  if (!git) throw new DockerfileError(`${EPOCH} stage source must be a single HTTP(S) or Git ADD`);
  const keeps = git.keepGitDir ?? keepGitDir;
  return gitEdge(git, {
    ...(keeps && { keepGitDir: true }),
    ...(expected && { checksum: expected }),
    metadata,
  });
}
