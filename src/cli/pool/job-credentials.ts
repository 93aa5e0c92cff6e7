import { join } from 'node:path';
import type { Config } from '#config/schema.ts';
import type { Credentials } from '#distribution/authorizer.ts';
import { dockerCredentials } from '../build/docker-credentials.ts';

/** The accounts that jobs use, the pool's or a tenant's own, read when they are needed: they may change. */
export function jobCredentials(
  config: Config,
): (domain: string, tenant?: string) => Promise<Credentials | undefined> {
  const { credentials, tenantCredentials } = config.pool.jobs;
  return async (domain, tenant) => {
    const directory =
      tenant === undefined ? credentials : tenantCredentials && join(tenantCredentials, tenant);
    if (directory === null) return undefined;
    const found = await dockerCredentials(directory, domain);
    if (!found) return undefined;
    const { username, secret } = found;
    return username === '' ? { identityToken: secret } : { username, password: secret };
  };
}
