import { posix } from 'node:path';
import { unsupported } from '#errors/errors.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import { expand, expandHeredoc } from '../dockerfile/expansion.ts';
import type { CopyInstruction } from '../dockerfile/instructions.ts';
import type { CopySource, FileOp } from '../graph/op.ts';
import { type Vertex, vertex } from '../graph/vertex.ts';
import { nop } from './configure.ts';
import { type StageState, variablesOf } from './stage-state.ts';

export interface CopyContext {
  readonly escapeToken: string;
  /** What files without `--from` come from. */
  readonly source: Vertex;
  /** The source is another stage or image, not the client's context. */
  readonly fromImage: boolean;
}

const URL_SOURCE = /^https?:\/\//i;

/** COPY or ADD as a vertex, and how history shows it. Throws `DockerfileError`, `unsupported`. */
export function compileCopy(
  instruction: CopyInstruction,
  state: StageState,
  context: CopyContext,
): { vertex: Vertex; createdBy: string } {
  refuseUnsupported(instruction);
  const variables = variablesOf(state);
  const expanded = (word: string) => expand(word, variables, context);
  const isAdd = instruction.name === 'ADD';
  const sources = instruction.sources.map(expanded);
  const urls = isAdd ? sources.filter((source) => URL_SOURCE.test(source)) : [];
  const paths = isAdd ? sources.filter((source) => !URL_SOURCE.test(source)) : sources;
  if (!isAdd && sources.some((source) => URL_SOURCE.test(source))) {
    throw new DockerfileError("source can't be a URL for COPY");
  }
  if (paths.some((path) => /^(?:git@|git:\/\/|[^/]+\.git(?:#|$))/.test(path)) && isAdd) {
    throw unsupported('ADD from git is not supported yet');
  }
  const files = instruction.heredocs.map(({ name, content, expand: expands }) => ({
    name,
    content: expands ? expandHeredoc(content, variables).result : content,
  }));

  const inputs: Vertex[] = [state.files];
  const from: CopySource[] = [];
  if (files.length > 0) from.push({ files });
  if (paths.length > 0) from.push({ input: inputs.push(context.source) - 1, paths });
  for (const url of urls) {
    const checksum = instruction.checksum;
    const download = vertex({ kind: 'source', source: { type: 'http', url, ...(checksum && { checksum }) } });
    from.push({ input: inputs.push(download) - 1, paths: [] });
  }
  const written = expanded(instruction.destination);
  const chown = instruction.chown === undefined ? undefined : expanded(instruction.chown);
  const mode = instruction.chmod === undefined ? undefined : parseMode(expanded(instruction.chmod));
  const op: FileOp = {
    kind: 'file',
    action: {
      type: 'copy',
      instruction: instruction.name,
      from,
      destination: posix.resolve('/', state.config.WorkingDir || '/', written),
      asDirectory: /(?:^|\/)\.{0,2}$/.test(written),
      ...(chown !== undefined && { chown }),
      ...(mode !== undefined && { mode }),
      exclude: instruction.exclude.map(expanded),
      keepOwners: context.fromImage,
      unpack: isAdd && instruction.unpack !== false && urls.length === 0,
    },
  };
  const names = [...sources, ...files.map(({ name }) => `<<${name}`)].join(' ');
  return { vertex: vertex(op, inputs), createdBy: nop(`${instruction.name} ${names} ${written} `.trimEnd()) };
}

function refuseUnsupported(instruction: CopyInstruction): void {
  for (const [flag, used] of [
    ['parents', instruction.parents],
    ['keep-git-dir', instruction.keepGitDir],
  ] as const) {
    if (used) throw unsupported(`the --${flag} option requires BuildKit`);
  }
}

function parseMode(text: string): number {
  if (!/^[0-7]{1,4}$/.test(text)) {
    throw new DockerfileError(
      `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
    );
  }
  return Number.parseInt(text, 8);
}
