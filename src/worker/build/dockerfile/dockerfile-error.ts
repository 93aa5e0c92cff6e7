import { SlipwayError } from '#errors/errors.ts';
import type { Range } from '../llb/source-info.ts';

/**
 * What is wrong with a Dockerfile, in the words of the docker CLI's users, and where: the place of the fault first,
 * then the places that led there.
 */
export class DockerfileError extends SlipwayError {
  readonly ranges: readonly Range[];

  constructor(message: string, ranges: Range | readonly Range[] = [], options: { cause?: unknown } = {}) {
    super('invalid', message, options);
    this.name = 'DockerfileError';
    this.ranges = 'start' in ranges ? [ranges] : ranges;
  }

  /** The first line of it, from 1. */
  get line(): number | undefined {
    return this.ranges[0]?.start.line;
  }
}

/** Runs what does not know where in the Dockerfile it is, and adds the place to what it throws. */
export function locate<T>(range: Range, task: () => T): T {
  try {
    return task();
  } catch (error) {
    throw located(error, range);
  }
}

/** The error with a place added; anything but a `DockerfileError` as it is. */
export function located(error: unknown, range: Range): unknown {
  if (!(error instanceof DockerfileError)) return error;
  return new DockerfileError(error.message, [...error.ranges, range], { cause: error.cause });
}
