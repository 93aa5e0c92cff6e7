import { z } from 'zod';
import type { Credentials } from '#distribution/authorizer.ts';
import type { EngineContext } from './router.ts';

export const authShape = z.looseObject({
  username: z.string().nullish(),
  password: z.string().nullish(),
  auth: z.string().nullish(),
  serveraddress: z.string().nullish(),
  identitytoken: z.string().nullish(),
  registrytoken: z.string().nullish(),
});

export type AuthShape = z.infer<typeof authShape>;

/** The credentials of `X-Registry-Auth`, base64url JSON; as the engine does, one that cannot be read is ignored. */
export function registryAuth(ctx: EngineContext): Credentials | undefined {
  const header = ctx.get('X-Registry-Auth');
  if (!header) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(header, 'base64url').toString('utf8'));
    return credentialsOf(authShape.parse(value));
  } catch {
    return undefined;
  }
}

/** `undefined` when there is nothing in it: anonymous. */
export function credentialsOf(shape: AuthShape): Credentials | undefined {
  const [username, ...password] = shape.username
    ? [shape.username, shape.password ?? '']
    : Buffer.from(shape.auth ?? '', 'base64')
        .toString('utf8')
        .split(':');
  const credentials = {
    ...(username && { username, password: password.join(':') }),
    ...(shape.identitytoken && { identityToken: shape.identitytoken }),
    ...(shape.registrytoken && { registryToken: shape.registrytoken }),
  };
  return Object.keys(credentials).length > 0 ? credentials : undefined;
}

/** A server address as `docker login` sends it: a host, a URL, or Docker Hub's old index. */
export function registryDomain(serverAddress: string): string {
  const host = serverAddress.replace(/^https?:\/\//, '').split('/', 1)[0] ?? '';
  return host === '' || host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
}
