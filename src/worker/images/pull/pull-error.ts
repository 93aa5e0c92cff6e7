import { notFound, SlipwayError } from '#errors/errors.ts';
import { familiarName, familiarReference, type ImageReference } from '#oci/reference.ts';

/** A registry's refusal in the words that Docker's users know, and scripts look for. */
export function explainPullError(error: unknown, reference: ImageReference): unknown {
  if (!(error instanceof SlipwayError)) return error;
  const name = familiarName(reference);
  switch (error.code) {
    case 'MANIFEST_UNKNOWN':
      return notFound(`manifest for ${familiarReference(reference)} not found: ${error.message}`, {
        cause: error,
      });
    case 'NAME_UNKNOWN':
      return notFound(`repository ${name} not found: ${error.message}`, { cause: error });
    case 'DENIED':
    case 'UNAUTHORIZED':
      return notFound(
        `pull access denied for ${name}, repository does not exist or may require 'docker login': ${error.message}`,
        { cause: error },
      );
    default:
      return error;
  }
}
