import { SlipwayError } from '#errors/errors.ts';

/** Why an image was not found, in BuildKit's words; the registry's refusal in Docker's is its cause. */
export function unresolved(error: unknown, reference: string): unknown {
  if (!(error instanceof SlipwayError) || !(error.cause instanceof SlipwayError)) return error;
  const { code, message } = error.cause;
  switch (code) {
    case 'MANIFEST_UNKNOWN':
    case 'NAME_UNKNOWN':
      return new SlipwayError(error.kind, `${reference}: not found`, { code, cause: error });
    case 'DENIED':
    case 'UNAUTHORIZED': {
      const why = 'pull access denied, repository does not exist or may require authorization';
      return new SlipwayError(error.kind, `${why}: ${message}`, { code, cause: error });
    }
    default:
      return error;
  }
}
