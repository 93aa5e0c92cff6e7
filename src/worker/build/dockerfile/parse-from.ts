import { descriptionOf } from './description.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { readFlags } from './flags.ts';
import { goQuote } from './go-quote.ts';
import type { FromInstruction } from './instructions.ts';
import type { PlacedStatement } from './statement.ts';
import { writtenOf } from './written.ts';

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

/** `FROM [--platform=…] image [AS name]`. Throws `DockerfileError`. */
export function parseFrom(statement: PlacedStatement): FromInstruction {
  const [image, writtenAs, writtenStage, ...more] = statement.args;
  const named = writtenStage !== undefined && more.length === 0 && writtenAs!.toLowerCase() === 'as';
  if (image === undefined || (writtenAs !== undefined && !named)) {
    throw new DockerfileError('FROM requires either one or three arguments');
  }
  const stage = writtenStage?.toLowerCase();
  if (stage !== undefined && !STAGE_NAME.test(stage)) {
    throw new DockerfileError(
      `invalid name for build stage: ${goQuote(writtenStage!)}, name can't start with a number or contain symbols`,
    );
  }
  const platform = readFlags(statement.flags, { platform: 'value' }).value('platform');
  const description = descriptionOf(stage, statement.comments);
  return {
    name: 'FROM',
    image,
    ...(stage !== undefined && { stage, writtenStage: writtenStage!, writtenAs: writtenAs! }),
    ...(platform && { platform }),
    ...(description !== undefined && { description }),
    ...writtenOf(statement),
  };
}
