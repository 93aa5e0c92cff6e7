import { randomUUID } from 'node:crypto';
import { cleanPath } from '../../context/clean-path.ts';
import { DockerfileError } from '../../dockerfile/dockerfile-error.ts';
import { expandHeredoc } from '../../dockerfile/expansion.ts';
import type { CopyInstruction } from '../../dockerfile/instructions.ts';
import { checkIgnoredSource } from '../../dockerfile/lint/stage-checks.ts';
import { type VertexMetadata, vertex } from '../../llb/vertex.ts';
import type { Draft } from '../graph/draft.ts';
import { fileEdge, Inputs, type PlannedAction, readOwner } from '../graph/file-draft.ts';
import { directoryAwarePath, joinPath } from '../paths.ts';
import { type Compilation, expandIn, reportUnset, shownPlatform, sourceOf } from './compilation.ts';
import { type CopyShape, localAction, readMode } from './copy-actions.ts';
import { addHistory } from './history.ts';
import { gitSourceOf, isHttpSource, isRemoteSource, remoteAction } from './remote-copy.ts';
import type { Command, Stage } from './stage.ts';
import { nameStep, shownInstruction, stepName } from './vertex-name.ts';

/** COPY and ADD. Throws `DockerfileError`. */
export function compileCopy(compilation: Compilation, stage: Stage, command: Command): void {
  const instruction = command.instruction as CopyInstruction;
  const copy = expanded(compilation, stage, instruction);
  const source = sourceStage(stage, command, copy);
  refuseChecksum(copy);
  const { environment } = stage;
  const variables = (name: string) => environment.get(name);
  const shown = shownInstruction(instruction.text, variables, { escapeToken: compilation.escapeToken });
  const naming = {
    platform: shownPlatform(compilation, stage.platform),
    onbuild: command.onbuild,
    environment,
  };
  const name = nameStep(stage, shown, naming);
  const shape: CopyShape = {
    dest: directoryAwarePath(stage.directory, copy.destination),
    ...(copy.chown && { owner: readOwner(copy.chown) }),
    ...(copy.chmod && { mode: readMode(copy.chmod) }),
    ...(copy.exclude.length > 0 && { excludePatterns: copy.exclude }),
  };
  const actions = [
    ...copy.sources.map((path): PlannedAction => {
      const remote = remoteAction(compilation, copy, path, { shape, name });
      if (remote) return remote;
      if (!source) checkIgnoredSource(copy, path, compilation.ignored, compilation.linter);
      return localAction(copy, path, source ? source.files : compilation.context, shape);
    }),
    ...copy.heredocs.map((document) => documentAction(compilation, document, shape)),
  ];
  recordPaths(stage, source, copy);

  const metadata = {
    name,
    ...(stage.ignoreCache && { ignoreCache: true }),
    source: sourceOf(compilation, instruction.range),
  };
  stage.files =
    copy.link && !copy.chmod
      ? linked(compilation, stage.files, actions, metadata, stepName(stage, `LINK ${shown}`, naming))
      : copied(compilation, stage.files, actions, metadata);
  addHistory(compilation, stage, `${createdBy(copy)} # buildkit`, { layer: true });
}

function expanded(compilation: Compilation, stage: Stage, instruction: CopyInstruction): CopyInstruction {
  const expand = (word: string) => expandIn(compilation, stage, instruction, word);
  const { chown, chmod, checksum } = instruction;
  return {
    ...instruction,
    ...(chown !== undefined && { chown: expand(chown) }),
    ...(chmod !== undefined && { chmod: expand(chmod) }),
    ...(checksum !== undefined && { checksum: expand(checksum) }),
    sources: instruction.sources.map(expand),
    destination: expand(instruction.destination),
    heredocs: instruction.heredocs.map((document) => {
      if (!document.expand) return document;
      const expansion = expandHeredoc(document.content, (name) => stage.environment.get(name));
      reportUnset(compilation, stage, instruction, expansion.unmatched);
      return { ...document, content: expansion.result };
    }),
  };
}

function sourceStage(stage: Stage, command: Command, { from }: CopyInstruction): Stage | undefined {
  const [source] = command.sources;
  if (source && !source.compiled) {
    throw new DockerfileError(
      `cannot copy from stage ${JSON.stringify(from)}, it needs to be defined before current stage ${JSON.stringify(stage.label)}`,
    );
  }
  return source;
}

function documentAction(
  { drafts }: Compilation,
  { name, content }: CopyInstruction['heredocs'][number],
  shape: CopyShape,
): PlannedAction {
  const path = joinPath('/', name);
  const data = Buffer.from(content);
  const from = drafts.add(() =>
    fileEdge(undefined, [{ type: 'mkfile', path, mode: 0o644, data }], {
      name: '[internal] preparing inline document',
    }),
  );
  return {
    type: 'copy',
    from,
    src: path,
    ...shape,
    followSymlink: false,
    dirCopyContents: false,
    unpack: false,
    createDestPath: true,
    allowWildcard: false,
    allowEmptyWildcard: false,
  };
}

/** So that no more than that is asked of where it comes from. */
function recordPaths(stage: Stage, source: Stage | undefined, { name, sources }: CopyInstruction): void {
  for (const path of sources) {
    if (name === 'ADD' && isRemoteSource(path)) continue;
    const whole = joinPath('/', cleanPath(path));
    if (source) source.paths.add(whole);
    else stage.contextPaths.add(whole);
  }
}

function copied(
  { drafts }: Compilation,
  base: Draft | undefined,
  actions: readonly PlannedAction[],
  metadata: VertexMetadata,
): Draft {
  return drafts.add(() => fileEdge(base, actions, metadata));
}

/** The files make a layer of their own, which does not depend on what is below; what both come to is put together. */
function linked(
  compilation: Compilation,
  base: Draft | undefined,
  actions: readonly PlannedAction[],
  metadata: VertexMetadata,
  linkName: string,
): Draft {
  const { drafts } = compilation;
  const group = { id: randomUUID(), name: metadata.name };
  const layer = copied(compilation, undefined, actions, {
    ...metadata,
    progressGroup: { ...group, weak: true },
  });
  if (!base) return layer;
  return drafts.add(() => {
    const inputs = new Inputs();
    for (const draft of [base, layer]) inputs.add(draft.edge);
    const merged = { ...metadata, name: linkName, progressGroup: { ...group, weak: false } };
    return { vertex: vertex({ kind: 'merge' }, inputs.edges, { metadata: merged }), output: 0 };
  });
}

function refuseChecksum({ name, checksum, sources }: CopyInstruction): void {
  if (!checksum) return;
  if (name !== 'ADD') throw new DockerfileError("checksum can't be specified for COPY");
  const [only, ...more] = sources;
  if (only === undefined || more.length > 0) {
    throw new DockerfileError("checksum can't be specified for multiple sources");
  }
  if (!isHttpSource(only) && !gitSourceOf(only)) {
    throw new DockerfileError('checksum requires HTTP(S) or Git sources');
  }
}

function createdBy({ name, parents, chown, chmod, sources, heredocs, destination }: CopyInstruction): string {
  return [
    name,
    ...(parents ? ['--parents'] : []),
    ...(chown ? [`--chown=${chown}`] : []),
    ...(chmod ? [`--chmod=${chmod}`] : []),
    ...sources,
    ...heredocs.map((document) => `<<${document.name}`),
    destination,
  ].join(' ');
}
