import type { Credentials } from '#distribution/authorizer.ts';
import { DEFAULT_DOMAIN } from '#oci/reference.ts';
import type { BuildSession } from '../session/build-session.ts';

/** Under which Docker's clients keep what they have for Docker Hub. */
const HUB = 'https://index.docker.io/v1/';

/**
 * Access to a registry (`docker.io`, `127.0.0.1:5000`) with what a client has for it, if it has something. The client is
 * asked when the registry asks: for a token, if it fetches them, and for a password only if there is no other way.
 */
export function registryCredentials(session: BuildSession, domain: string): Credentials | undefined {
  if (!session.offers('credentials')) return undefined;
  const host = domain === DEFAULT_DOMAIN ? HUB : domain;
  return {
    keeper: {
      token: (request, { signal = session.closed }) => session.token(host, request, { signal }),
      credentials: async ({ signal = session.closed }) => {
        const found = await session.credentials(host, { signal });
        if (!found || found.secret === '') return undefined;
        return found.username === ''
          ? { identityToken: found.secret }
          : { username: found.username, password: found.secret };
      },
    },
  };
}
