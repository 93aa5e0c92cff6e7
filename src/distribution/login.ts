import { unauthorized } from '#errors/errors.ts';
import { Authorizer, type Credentials } from './authorizer.ts';
import type { HttpTransport } from './http-transport.ts';
import { registryError } from './registry-error.ts';

/** Tries credentials at a registry. Throws `unauthorized` when it refuses them, `unavailable` when it is not there. */
export async function logIn(
  transport: HttpTransport,
  origin: URL,
  credentials: Credentials,
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  const url = new URL('/v2/', origin);
  const authorizer = new Authorizer(transport, credentials);
  const first = await transport.request({ method: 'GET', url, ...options });
  if (first.status === 200) {
    // It asks nobody for a password.
    first.body.resume();
    return;
  }
  const refused = await registryError(first, `${url.origin}/v2/`);
  const authorization =
    first.status === 401
      ? await authorizer.answer(first.headers['www-authenticate'], [], options).catch((cause: unknown) => {
          throw unauthorized(`Get "${url}": unauthorized: incorrect username or password`, { cause });
        })
      : undefined;
  if (authorization === undefined) throw refused;
  const second = await transport.request({ method: 'GET', url, headers: { authorization }, ...options });
  if (second.status === 200) {
    second.body.resume();
    return;
  }
  const cause = await registryError(second, `${url.origin}/v2/`);
  if (second.status !== 401 && second.status !== 403) throw cause;
  throw unauthorized(`Get "${url}": unauthorized: incorrect username or password`, { cause });
}
