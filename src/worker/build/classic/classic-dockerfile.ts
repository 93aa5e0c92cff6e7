import { invalid, isKind } from '#errors/errors.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import type { Instruction, Stage } from '../dockerfile/instructions.ts';
import { type Dockerfile, parseDockerfile } from '../dockerfile/parser.ts';
import { unwritten } from '../dockerfile/written.ts';
import type { DockerfileSource, MainContext } from '../frontend/inputs/main-context.ts';
import type { ClassicRequest } from './classic-request.ts';

/** The Dockerfile of a build as the classic builder takes it: with the labels that were asked for. Throws `invalid`. */
export async function openDockerfile(
  context: MainContext,
  request: Pick<ClassicRequest, 'labels' | 'target'>,
): Promise<{ source: DockerfileSource; dockerfile: Dockerfile }> {
  const source = await readDockerfile(context);
  const dockerfile = labelled(parseDockerfile(source.text), request);
  refuseRepeatedNames(dockerfile.stages);
  return { source, dockerfile };
}

export function continuationWarnings(found: Dockerfile['emptyContinuations']): string[] {
  if (found.length === 0) return [];
  return [
    ...found.map(({ text }) => `[WARNING]: Empty continuation line found in: ${text}`),
    '[WARNING]: Empty continuation lines will become errors in a future release.',
  ];
}

async function readDockerfile(context: MainContext): Promise<DockerfileSource> {
  try {
    const source = await context.readDockerfile();
    if (source.text.trim() !== '') return source;
  } catch (error) {
    if (!isKind(error, 'not-found') || !error.message.startsWith('failed to read dockerfile')) throw error;
    throw invalid(`Cannot locate specified Dockerfile: ${context.filename}`, { cause: error });
  }
  throw new DockerfileError(`the Dockerfile (${context.filename}) cannot be empty`);
}

/** `docker build --label` as instructions at the end of the stage that is asked for. */
function labelled(
  dockerfile: Dockerfile,
  { labels, target }: Pick<ClassicRequest, 'labels' | 'target'>,
): Dockerfile {
  const { stages } = dockerfile;
  const wanted = target ? stages.findLastIndex(({ from }) => from.stage === target.toLowerCase()) : -1;
  const at = wanted < 0 ? stages.length - 1 : wanted;
  const added = labelInstructions(labels);
  return {
    ...dockerfile,
    stages: stages.map((stage, position) =>
      position === at ? { ...stage, instructions: [...stage.instructions, ...added] } : stage,
    ),
  };
}

function labelInstructions(labels: Readonly<Record<string, string>>): Instruction[] {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({
      name: 'LABEL',
      pairs: [[name, value]],
      legacy: false,
      literal: true,
      ...unwritten('LABEL', `LABEL ${name}=${value}`),
    }));
}

/** BuildKit takes the last of a name; the classic builder has always refused them. */
function refuseRepeatedNames(stages: readonly Stage[]): void {
  const seen = new Set<string>();
  for (const { from } of stages) {
    if (from.stage === undefined) continue;
    if (seen.has(from.stage)) throw new DockerfileError(`${from.stage} stage name already used`, from.range);
    seen.add(from.stage);
  }
}
