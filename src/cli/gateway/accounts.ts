import type { Auth } from '#auth/auth.ts';
import type { Login } from '#auth/login.ts';
import type { Config } from '#config/schema.ts';
import { openRegistryDatabase } from '#database/registry/open.ts';
import { forbidden, unauthorized } from '#errors/errors.ts';
import type { Accounts } from '#pool/tenants/tenant-authenticator.ts';
import { openAuth } from '../registry/auth.ts';
import { registryDatabaseOptions } from '../registry/database.ts';

const BASIC = /^Basic +([A-Za-z0-9+/=]+) *$/i;
const BEARER = /^Bearer +(\S+) *$/i;
const SECRET = /^sl[rp]_/;

/** The registry's accounts in its database. `closing` takes what has to be closed at the end. */
export async function openPoolAccounts(config: Config, closing: AsyncDisposableStack): Promise<Accounts> {
  const db = await openRegistryDatabase(await registryDatabaseOptions(config));
  closing.defer(() => db.destroy());
  return poolAccounts(openAuth(db, config.registry.auth));
}

function poolAccounts({ logins, groups }: Pick<Auth, 'logins' | 'groups'>): Accounts {
  const withGroups = async (subjects: readonly string[]) => {
    const found = await Promise.all(subjects.map((member) => groups.list({ member })));
    return [...subjects, ...found.flat().map(({ group }) => `group:${group}`)];
  };
  return {
    async logIn(authorization, address) {
      const login = await logInBy(logins, authorization, address);
      // Who was given a part of somebody's rights was given rights to repositories.
      if (login.limits !== undefined)
        throw forbidden('a token that is limited to repositories opens no pool');
      return await withGroups(login.subjects);
    },
    async subjectsOf(account) {
      if (!(await logins.isActive(account))) throw unauthorized(`${account} may not log in`);
      return await withGroups([account]);
    },
  };
}

/** A name and a password, a secret by itself, or the OpenID token of a CI job. */
async function logInBy(logins: Auth['logins'], authorization: string, address: string): Promise<Login> {
  const basic = BASIC.exec(authorization)?.[1];
  if (basic !== undefined) {
    const text = Buffer.from(basic, 'base64').toString();
    const at = text.indexOf(':');
    if (at >= 0)
      return await logins.logIn({ username: text.slice(0, at), password: text.slice(at + 1), address });
  }
  const bearer = BEARER.exec(authorization)?.[1];
  if (bearer === undefined) throw unauthorized('expected Authorization: Basic or Bearer');
  if (SECRET.test(bearer)) return await logins.logInBySecret(bearer, address);
  return await logins.logIn({ username: 'oidc', password: bearer, address });
}
