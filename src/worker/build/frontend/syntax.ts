import { unsupported } from '#errors/errors.ts';
import { detectSyntax } from '../dockerfile/directives.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';

const OURS = /^(?:docker\.io\/)?docker\/dockerfile(?:-upstream)?(?:[:@]|$)/;

/**
 * A Dockerfile may ask for the frontend that understands it (`# syntax=`), and so may whoever builds it. Dockerfile's
 * own is built in, whatever its version; there is no other. Throws `unsupported`.
 */
export function refuseForeignSyntax(options: Readonly<Record<string, string>>, text: string): void {
  const given = options['build-arg:BUILDKIT_SYNTAX'];
  if (given !== undefined) {
    const [reference = ''] = given.trim().split(' ', 1);
    if (OURS.test(reference)) return;
    throw unsupported(`BUILDKIT_SYNTAX=${given}: no other frontend than docker/dockerfile can be used here`);
  }
  const detected = detectSyntax(text);
  if (!detected || OURS.test(detected.reference)) return;
  throw new DockerfileError(
    `syntax=${detected.commandLine}: no other frontend than docker/dockerfile can be used here`,
    detected.range,
  );
}
