import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { type Auth, createAuth } from '#auth/auth.ts';
import { parseIssuer } from '#auth/oidc/issuer-url.ts';
import type { PeopleLoginOptions } from '#auth/oidc/people-logins.ts';
import { ensureAdministrator } from '#auth/users/first-administrator.ts';
import type { Config } from '#config/schema.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { messageOf } from '#errors/errors.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import type { LoginRoutesOptions } from '#registry/http/login-routes.ts';
import { Refusal } from '../refusal.ts';

type AuthConfig = Config['registry']['auth'];

/** Users, policies and tokens over the registry's database, whether or not the registry asks for them. */
export function openAuth(db: RegistryDatabase, config: AuthConfig): Auth {
  const { realm, oidc } = config;
  return createAuth(
    { db, record: recordEvents },
    { ...config, realm: realm ?? undefined, people: people(oidc) },
  );
}

/** Makes the first administrator of a registry that has none, and says the password if it had to make one up. */
export async function startAuth(auth: Auth, config: AuthConfig, logger: Logger): Promise<void> {
  const { name, password, passwordFile } = config.initialAdmin;
  if (name === null) return;
  const made = await ensureAdministrator(auth, {
    name,
    password: () =>
      passwordFile === null
        ? (password ?? undefined)
        : readSecretFile('initialAdmin.passwordFile', passwordFile),
  });
  if (made) {
    logger.warn(
      `made the administrator '${name}' with the password ${made.generated} (it is not shown again)`,
    );
  }
}

/** How people log in with a browser. */
export function browserLogins(auth: Auth, { realm, sessionLife }: AuthConfig): LoginRoutesOptions {
  return { ...auth, origin: realm === null ? undefined : new URL(realm).origin, sessionLife };
}

function people(oidc: AuthConfig['oidc']): Omit<PeopleLoginOptions, 'clockTolerance'> | undefined {
  const { issuer, clientSecretFile } = oidc;
  if (issuer === null) return undefined;
  const claims = Object.fromEntries(Object.entries(oidc.claims).map(([name, it]) => [name, [it].flat()]));
  const clientSecret =
    clientSecretFile === null ? undefined : readSecretFile('oidc.clientSecretFile', clientSecretFile);
  return { ...oidc, issuer: parseIssuer(issuer), clientSecret, claims };
}

function readSecretFile(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new Refusal(`registry.auth.${setting}: ${messageOf(error)}`, { cause: error });
  }
}
