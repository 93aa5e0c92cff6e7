import type { Credentials } from '#distribution/authorizer.ts';
import { DEFAULT_DOMAIN } from '#oci/reference.ts';
import type { BuildSession } from '../session/build-session.ts';

/** Under which Docker's clients keep what they have for Docker Hub. */
const HUB = 'https://index.docker.io/v1/';

/** What a client has for a registry (`docker.io`, `127.0.0.1:5000`), if it has something. */
export async function registryCredentials(
  session: BuildSession,
  domain: string,
  signal: AbortSignal,
): Promise<Credentials | undefined> {
  if (!session.offers('credentials')) return undefined;
  const found = await session.credentials(domain === DEFAULT_DOMAIN ? HUB : domain, { signal });
  if (!found || found.secret === '') return undefined;
  return found.username === ''
    ? { identityToken: found.secret }
    : { username: found.username, password: found.secret };
}
