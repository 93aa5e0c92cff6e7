import { type Auth, type AuthOptions, createAuth } from '#auth/auth.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import { type Answer, json, type SendOptions } from './distribution-client.ts';
import { startTestRegistry, type TestRegistry } from './test-registry.ts';

export const PASSWORD = 'correct horse';

/** Who sets the stage. */
export const STAGE = { principal: 'user:stage' };

export const AUTH_OPTIONS: AuthOptions = {
  realm: undefined,
  service: 'slipway',
  accessTokenLife: 300_000,
  exchangedTokenLife: 600_000,
  refreshTokenLife: 3_600_000,
  keyLife: 90 * 24 * 3_600_000,
  clockTolerance: 0,
};

export interface TokenReply {
  readonly token: string;
  readonly access_token: string;
  readonly refresh_token?: string;
  readonly expires_in: number;
  readonly issued_at: string;
  readonly scope: string;
}

export interface AuthRegistry extends TestRegistry {
  readonly auth: Auth;
  /** A user with these grants, as `pattern actions`: `team/** pull,push`. The password is PASSWORD. */
  addUser(name: string, ...grants: string[]): Promise<void>;
  grant(subject: string, ...grants: string[]): Promise<void>;
  /** GET /token: `basic` is `name:password`. */
  getToken(query: string, basic?: string): Promise<Answer>;
  /** POST /token. */
  postToken(form: Readonly<Record<string, string>>): Promise<Answer>;
  /** An access token for scopes, of a user whom `addUser` made, or of the anonymous. */
  token(user: string | undefined, ...scopes: string[]): Promise<string>;
  /** A request with an access token. */
  send(method: string, path: string, token: string | undefined, options?: SendOptions): Promise<Answer>;
}

/** A registry that asks for tokens. */
export async function startAuthRegistry(
  options: Partial<AuthOptions> = {},
  denials?: NonNullable<Parameters<typeof startTestRegistry>[0]>['denials'],
): Promise<AuthRegistry> {
  let auth: Auth | undefined;
  const registry = await startTestRegistry({
    ...(denials && { denials }),
    auth: (db) => {
      auth = createAuth({ db, record: recordEvents }, { ...AUTH_OPTIONS, ...options });
      const logins = { ...auth, origin: undefined, sessionLife: 600_000 };
      return { authenticator: auth.authenticator, tokens: auth, accounts: auth, logins };
    },
  });
  return withAuth(registry, auth!);
}

function withAuth(registry: TestRegistry, auth: Auth): AuthRegistry {
  const { client } = registry;
  const grant = async (subject: string, ...grants: string[]) => {
    for (const text of grants) {
      const [pattern = '', actions = ''] = text.split(' ');
      await auth.policies.put({ subject, pattern, actions: actions.split(',') }, STAGE);
    }
  };
  const getToken = (query: string, basic?: string) =>
    client.send('GET', `/token?${query}`, basic === undefined ? {} : { headers: basicHeader(basic) });
  return {
    ...registry,
    auth,
    grant,
    addUser: async (name, ...grants) => {
      await auth.users.create({ name, password: PASSWORD }, STAGE);
      await grant(`user:${name}`, ...grants);
    },
    getToken,
    postToken: (form) =>
      client.send('POST', '/token', {
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(form).toString(),
      }),
    token: async (user, ...scopes) => {
      const query = new URLSearchParams(scopes.map((scope): [string, string] => ['scope', scope]));
      const answer = await getToken(query.toString(), user && `${user}:${PASSWORD}`);
      if (answer.status !== 200) throw new Error(`/token: ${answer.status} ${answer.body}`);
      return (json(answer) as TokenReply).token;
    },
    send: (method, path, token, send = {}) =>
      client.send(method, path, {
        ...send,
        headers: { ...send.headers, ...(token !== undefined && { Authorization: `Bearer ${token}` }) },
      }),
  };
}

export function basicHeader(credentials: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
}
