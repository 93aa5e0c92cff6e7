import { SlipwayError } from '#errors/errors.ts';
import type { SourceRange } from './source-info.ts';

/**
 * Why a build failed, and which lines of its description that is about: clients quote them. Kind, code and message are
 * the cause's.
 */
export class SourceError extends SlipwayError {
  /** The place of the fault first, then the places that led there. */
  readonly sources: readonly SourceRange[];

  constructor(cause: SlipwayError, sources: readonly SourceRange[]) {
    super(cause.kind, cause.message, { ...(cause.code !== undefined && { code: cause.code }), cause });
    this.name = 'SourceError';
    this.sources = sources;
  }
}
