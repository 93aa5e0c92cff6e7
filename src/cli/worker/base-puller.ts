import type { Credentials } from '#distribution/authorizer.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { ImageLender } from '#pool/member/image-lender.ts';
import type { BasePuller } from '#worker/build/classic/classic-images.ts';
import type { Puller } from '#worker/images/pull/puller.ts';

/** Docker Hub's key in a client's credentials. */
const HUB = 'https://index.docker.io/v1/';

/** The image puller as builds use it, and what other workers have: credentials by registry, as the CLI sends them along with a build. */
export function basePuller(puller: Puller, lender: ImageLender): BasePuller {
  return {
    bring: (name, signal) => lender.bring(name, signal),
    async pull(name, { platform, registryAuth, progress, signal }) {
      const reference = parseImageReference(name);
      const { domain } = reference;
      const auth = registryAuth[domain === 'docker.io' ? HUB : domain] ?? registryAuth[`https://${domain}`];
      await puller.pull(reference, {
        ...(platform && { platform }),
        ...(auth && { credentials: credentialsOf(auth) }),
        progress,
        signal,
      });
    },
  };
}

/** The Engine API's AuthConfig in the words of `distribution`. */
function credentialsOf(auth: Readonly<Record<string, string>>): Credentials {
  return {
    ...(auth.username && { username: auth.username }),
    ...(auth.password && { password: auth.password }),
    ...(auth.identitytoken && { identityToken: auth.identitytoken }),
    ...(auth.registrytoken && { registryToken: auth.registrytoken }),
  };
}
