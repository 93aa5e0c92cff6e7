import type { Platform } from '#oci/platform.ts';
import type { RegistryAuth } from './build-request.ts';

/** Gets an image that a build begins with into the image store. */
export interface BasePuller {
  /** Throws `not-found`, `unauthorized`, `unavailable` in Docker's words. */
  pull(
    reference: string,
    options: {
      platform?: Platform;
      registryAuth: RegistryAuth;
      progress: (line: object) => Promise<void>;
      signal: AbortSignal;
    },
  ): Promise<void>;
}
